//! How much may be under way at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use crate::pipeline::{Held, MemoryAccount};

/// Bytes are counted in units of this size, so that any limit fits into a semaphore.
const UNIT: usize = 1024;

/// What a sender that is turned away is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits that all requests of a receiver share.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Arc<Semaphore>,
    max_requests: usize,
    units: Arc<Semaphore>,
    decoders: Semaphore,
    memory: MemoryAccount,
    max_memory: usize,
}

/// A request's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    _request: OwnedSemaphorePermit,
    units: OwnedSemaphorePermit,
    memory: Held,
    max_memory: usize,
}

impl Admission {
    /// Limits on requests and on bytes of bodies.
    pub(super) fn new(max_requests: usize, max_bytes: usize) -> Self {
        let max_requests = max_requests.min(Semaphore::MAX_PERMITS);
        // Decoding large bodies takes a core each; one is left for the rest.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            requests: Arc::new(Semaphore::new(max_requests)),
            max_requests,
            units: Arc::new(Semaphore::new((max_bytes / UNIT).min(Semaphore::MAX_PERMITS))),
            decoders: Semaphore::new(cores.saturating_sub(1).max(1)),
            memory: MemoryAccount::default(),
            max_memory: usize::MAX,
        }
    }

    /// The same limits, and one on the memory of an account that others may share.
    pub(super) fn counting(self, memory: MemoryAccount, max_memory: usize) -> Self {
        Self { memory, max_memory, ..self }
    }

    /// A place for one more request, or the advice to come back.
    pub(super) fn admit(&self) -> Result<Reservation, Failure> {
        let busy = |_| Failure::Overloaded { after: RETRY_AFTER };
        let request = Arc::clone(&self.requests).try_acquire_owned().map_err(busy)?;
        let units = Arc::clone(&self.units).try_acquire_many_owned(0).map_err(busy)?;
        Ok(Reservation { _request: request, units, memory: self.memory.hold(0), max_memory: self.max_memory })
    }

    /// Limits how many large bodies are decoded at a time.
    pub(super) fn decoders(&self) -> &Semaphore {
        &self.decoders
    }

    /// How many requests have a place.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.max_requests.saturating_sub(self.requests.available_permits())
    }
}

impl Reservation {
    /// Makes sure that the request has room for `bytes` in all.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let missing = bytes.div_ceil(UNIT).saturating_sub(self.units.num_permits());
        let busy = Failure::Overloaded { after: RETRY_AFTER };
        if bytes > self.memory.bytes() && !self.memory.try_resize(bytes, self.max_memory) {
            return Err(busy);
        }
        if missing == 0 {
            return Ok(());
        }
        let Ok(missing) = u32::try_from(missing) else { return Err(busy) };
        match Arc::clone(self.units.semaphore()).try_acquire_many_owned(missing) {
            Ok(permits) => {
                self.units.merge(permits);
                Ok(())
            }
            Err(_) => Err(busy),
        }
    }

    /// Gives back what the request has beyond `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.units.num_permits().saturating_sub(bytes.div_ceil(UNIT));
        drop(self.units.split(surplus));
        self.memory.resize(bytes);
    }

    /// Makes sure that there is room for the request as it is after decoding, and returns the room: it is
    /// taken until the request is both answered and gone.
    pub(super) fn decoded(&mut self, bytes: usize) -> Result<Held, Failure> {
        match self.memory.try_resize(bytes, self.max_memory) {
            true => Ok(self.memory.share()),
            false => Err(Failure::Overloaded { after: RETRY_AFTER }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_limit_are_turned_away_until_one_ends() {
        let admission = Admission::new(1, 1 << 20);
        let first = admission.admit().unwrap();
        assert!(matches!(admission.admit(), Err(Failure::Overloaded { .. })));
        drop(first);
        assert!(admission.admit().is_ok());
        assert_eq!(admission.requests_in_flight(), 0);
    }

    #[test]
    fn memory_is_shared_with_others_and_held_until_the_request_is_gone() {
        let account = MemoryAccount::default();
        let admission = Admission::new(10, 1 << 20).counting(account.clone(), 1_000);
        let of_another = account.hold(600);
        let mut reservation = admission.admit().unwrap();
        reservation.grow(300).unwrap();
        assert!(matches!(reservation.grow(500), Err(Failure::Overloaded { .. })));
        assert!(matches!(reservation.decoded(401), Err(Failure::Overloaded { .. })));
        let held = reservation.decoded(400).unwrap();
        assert_eq!(account.used(), 1_000);
        drop((reservation, of_another));
        assert_eq!(account.used(), 400);
        drop(held);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn bytes_are_shared_and_given_back() {
        let admission = Admission::new(10, 10 * UNIT);
        let (mut first, mut second) = (admission.admit().unwrap(), admission.admit().unwrap());
        first.grow(8 * UNIT).unwrap();
        first.grow(5 * UNIT).unwrap();
        assert!(matches!(second.grow(3 * UNIT), Err(Failure::Overloaded { .. })));
        first.shrink(7 * UNIT);
        second.grow(3 * UNIT).unwrap();
        drop((first, second));
        assert!(admission.admit().unwrap().grow(10 * UNIT).is_ok());
    }
}
