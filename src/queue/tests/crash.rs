//! A small workload, with a crash or an error at each of its changes to the disk.

use std::io::ErrorKind;

use super::fake::{Fault, Restart};
use super::harness::{Harness, options};

/// Fills some segments, delivers a part of them out of order, deletes one, and goes on after a restart.
fn work(harness: &mut Harness) {
    if !harness.open() {
        return;
    }
    for length in [10, 300, 200, 0, 700] {
        harness.append(length);
    }
    for _ in 0..4 {
        harness.read(0);
        harness.read(1);
    }
    harness.ack(0, 2, 2);
    harness.upkeep();
    harness.ack(0, 0, 2);
    harness.ack(1, 0, 3);
    harness.upkeep();
    harness.append(50);
    if !harness.disk.crashed() {
        harness.reopen();
    }
    harness.append(400);
    harness.append(400);
    harness.upkeep();
}

/// Delivers all but one record of the first of some segments, and goes on behind the gap that this leaves.
fn leave_a_gap(harness: &mut Harness) {
    if !harness.open() {
        return;
    }
    for length in [10, 300, 200, 400, 400, 400, 10] {
        harness.append(length);
    }
    harness.deliver_all_but(1);
    harness.append(700);
    if !harness.disk.crashed() {
        harness.reopen();
    }
    harness.append(50);
    harness.deliver_all_but(0);
    harness.append(400);
    harness.upkeep();
}

fn with_each_change(times: u64, fault: Fault, restart: Restart) {
    for work in [work, leave_a_gap] {
        let mut undisturbed = Harness::new(options());
        work(&mut undisturbed);
        undisturbed.check();
        let changes = undisturbed.disk.changes();
        assert!(changes > 40, "only {changes} changes: the workload is too small");
        for change in 0..changes {
            let mut harness = Harness::new(options());
            harness.disk.fail_after(change, times, fault);
            work(&mut harness);
            harness.restart(restart);
            harness.append(20);
            harness.restart(restart);
        }
    }
}

/// Guarantees: a kill at any change, before it or half-way, loses nothing that was promised.
#[test]
fn killed_at_each_change() {
    with_each_change(1, Fault::Crash, Restart::Killed);
    with_each_change(1, Fault::PartialCrash, Restart::Killed);
}

/// Guarantees: so does a power loss, whatever of the unsynced bytes and names it leaves.
#[test]
fn power_lost_at_each_change() {
    for seed in 0..12 {
        with_each_change(1, Fault::Crash, Restart::PowerLoss(seed));
        with_each_change(1, Fault::PartialCrash, Restart::PowerLoss(seed));
    }
}

/// Guarantees: so do one or some errors of the disk at any change, a failed sync among them, and a power loss.
#[test]
fn errors_at_each_change() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for restart in [Restart::Killed, Restart::PowerLoss(0), Restart::PowerLoss(5)] {
            for times in 1..5 {
                with_each_change(times, Fault::Error(kind), restart);
                with_each_change(times, Fault::Partial(kind), restart);
            }
        }
    }
}
