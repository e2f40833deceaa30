//! Random operations, compared with a model.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::fake::{Fault, Restart};
use super::harness::{Harness, options};

#[derive(Clone, Debug)]
enum Operation {
    Append(usize),
    Read(usize),
    Ack(usize, usize, usize),
    Deliver(usize),
    DeliverAllButOne(usize),
    Upkeep,
    Reopen,
    Restart(Restart),
    Fault(u64, u64, Fault),
    Heal,
    Room(Option<u64>),
    Damage(usize, usize, u8),
    LoseCursor(usize),
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![Just(ErrorKind::StorageFull), Just(ErrorKind::Other)];
    prop_oneof![
        kind.clone().prop_map(Fault::Error),
        kind.prop_map(Fault::Partial),
        Just(Fault::Crash),
        Just(Fault::PartialCrash),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let restart = prop_oneof![Just(Restart::Killed), any::<u64>().prop_map(Restart::PowerLoss)];
    prop_oneof![
        12 => prop_oneof![0_usize..40, 100_usize..300, 500_usize..900].prop_map(Operation::Append),
        8 => (0_usize..2).prop_map(Operation::Read),
        5 => (0_usize..2, any::<usize>(), 1_usize..5).prop_map(|(c, at, n)| Operation::Ack(c, at, n)),
        2 => (0_usize..2).prop_map(Operation::Deliver),
        2 => any::<usize>().prop_map(Operation::DeliverAllButOne),
        2 => Just(Operation::Upkeep),
        1 => Just(Operation::Reopen),
        2 => restart.prop_map(Operation::Restart),
        2 => (0_u64..12, 1_u64..6, fault()).prop_map(|(after, times, f)| Operation::Fault(after, times, f)),
        1 => Just(Operation::Heal),
        1 => prop::option::of(0_u64..900).prop_map(Operation::Room),
        1 => (any::<usize>(), any::<usize>(), any::<u8>()).prop_map(|(f, at, m)| Operation::Damage(f, at, m)),
        1 => (0_usize..2).prop_map(Operation::LoseCursor),
    ]
}

fn apply(harness: &mut Harness, operation: Operation) {
    match operation {
        Operation::Append(length) => harness.append(length),
        Operation::Read(cursor) => harness.read(cursor),
        Operation::Ack(cursor, from, count) => harness.ack(cursor, from, count),
        Operation::Deliver(cursor) => harness.deliver(cursor),
        Operation::DeliverAllButOne(kept) => harness.deliver_all_but(kept),
        Operation::Upkeep => harness.upkeep(),
        Operation::Reopen if !harness.disk.crashed() => harness.reopen(),
        Operation::Reopen => harness.restart(Restart::Killed),
        Operation::Restart(restart) => harness.restart(restart),
        Operation::Fault(after, times, fault) => harness.disk.fail_after(after, times, fault),
        Operation::Heal => harness.disk.heal(),
        Operation::Room(bytes) => harness.disk.leave_room(bytes),
        Operation::Damage(file, at, mask) => harness.damage(file, at, mask),
        Operation::LoseCursor(cursor) => harness.lose_cursor(cursor),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// Scenario: any operations, errors, partial writes, full disks, crashes, power losses and flipped bits.
    /// Guarantees: no record that was promised to be on the medium is lost but by damage to it, none is delivered
    /// changed, the order of a cursor is kept, nothing persisted as acknowledged is delivered again, and the log
    /// always opens.
    #[test]
    fn it_owes_what_the_model_owes(operations in prop::collection::vec(operation(), 1..60)) {
        let mut harness = Harness::new(options());
        prop_assert!(harness.open());
        for operation in operations {
            apply(&mut harness, operation);
        }
        harness.disk.leave_room(None);
        harness.restart(Restart::PowerLoss(7));
        // And it works again.
        harness.append(10);
        harness.reopen();
    }
}
