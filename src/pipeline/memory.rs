//! How many bytes the process holds for requests: counted when they are taken, not measured afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that requests hold, of all receivers and pipelines that share the account. Cheap to clone.
///
/// What counts is what a request itself keeps in memory: its body, and its decoded spans.
#[derive(Clone, Debug, Default)]
pub struct MemoryAccount(Arc<AtomicUsize>);

impl MemoryAccount {
    /// The bytes that are held now.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Holds bytes, whatever is held already.
    pub fn hold(&self, bytes: usize) -> Held {
        self.0.fetch_add(bytes, Ordering::AcqRel);
        Held(Some(Arc::new(Holding { account: self.clone(), bytes: AtomicUsize::new(bytes) })))
    }
}

/// Bytes of an account, given back when the last one that shares them is dropped. The default belongs to
/// no account and counts nothing; a clone holds as many bytes again, as the clone of what they stand for
/// does.
#[derive(Debug, Default)]
pub struct Held(Option<Arc<Holding>>);

#[derive(Debug)]
struct Holding {
    account: MemoryAccount,
    bytes: AtomicUsize,
}

impl Held {
    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |holding| holding.bytes.load(Ordering::Acquire))
    }

    /// Whether the bytes count anywhere.
    pub fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// The same bytes once more, counted once.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Holds more bytes of the same account, or of none.
    #[must_use]
    pub fn more(&self, bytes: usize) -> Self {
        self.0.as_ref().map(|holding| holding.account.hold(bytes)).unwrap_or_default()
    }

    /// Holds this many bytes instead.
    pub fn resize(&mut self, bytes: usize) {
        let Some(holding) = &self.0 else { return };
        let before = holding.bytes.swap(bytes, Ordering::AcqRel);
        let MemoryAccount(used) = &holding.account;
        if bytes >= before {
            used.fetch_add(bytes - before, Ordering::AcqRel);
        } else {
            used.fetch_sub(before - bytes, Ordering::AcqRel);
        }
    }

    /// Holds this many bytes instead, unless the account would then hold more than `limit`. Who is alone
    /// gets what it wants: a request that is larger than the limit would never get through otherwise.
    pub fn try_resize(&mut self, bytes: usize, limit: usize) -> bool {
        let Some(holding) = &self.0 else { return true };
        let own = self.bytes();
        if bytes <= own {
            self.resize(bytes);
            return true;
        }
        let fits = |used: usize| {
            let others = used.saturating_sub(own);
            let after = others.saturating_add(bytes);
            (others == 0 || after <= limit).then_some(after)
        };
        let MemoryAccount(used) = &holding.account;
        let is_granted = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok();
        if is_granted {
            holding.bytes.store(bytes, Ordering::Release);
        }
        is_granted
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.more(self.bytes())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let MemoryAccount(used) = &self.account;
        used.fetch_sub(*self.bytes.get_mut(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clone_counts_again_and_nothing_is_left_at_the_end() {
        let account = MemoryAccount::default();
        let held = account.hold(100);
        let again = held.clone();
        assert_eq!(account.used(), 200);
        drop(held);
        assert_eq!(account.used(), 100);
        drop(again);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn what_is_shared_counts_once_until_the_last_is_gone() {
        let account = MemoryAccount::default();
        let mut held = account.hold(100);
        let shared = held.share();
        held.resize(70);
        assert_eq!((account.used(), shared.bytes()), (70, 70));
        drop(held);
        assert_eq!(account.used(), 70);
        drop(shared);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn what_belongs_to_no_account_counts_nothing() {
        let mut held = Held::default();
        held.resize(10);
        assert!(held.try_resize(1_000, 1));
        assert_eq!(held.clone().bytes(), 0);
        assert!(!held.more(5).is_counted());
    }

    #[test]
    fn one_alone_may_exceed_the_limit_and_a_second_may_not() {
        let account = MemoryAccount::default();
        let mut large = account.hold(0);
        assert!(large.try_resize(500, 100));
        let mut second = account.hold(0);
        assert!(!second.try_resize(1, 100));
        drop(large);
        assert!(second.try_resize(60, 100));
        let mut third = account.hold(0);
        assert!(!third.try_resize(41, 100));
        assert!(third.try_resize(40, 100));
        assert_eq!(account.used(), 100);
    }

    proptest! {
        #[test]
        fn the_account_is_the_sum_of_what_is_held(steps in proptest::collection::vec((0_usize..4, 0_usize..200), 0..60)) {
            let account = MemoryAccount::default();
            let mut held: Vec<Held> = (0..4).map(|_| account.hold(0)).collect();
            for (which, bytes) in steps {
                match bytes % 3 {
                    0 => held[which].resize(bytes),
                    1 => { held[which].try_resize(bytes, 300); }
                    _ => { let copy = held[which].clone(); held[which] = copy; }
                }
                prop_assert_eq!(account.used(), held.iter().map(Held::bytes).sum::<usize>());
            }
        }
    }
}
