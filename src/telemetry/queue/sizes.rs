//! Bytes that went through the queues, and those that did not.

use prometheus_client::registry::{Registry, Unit};

use super::{Counters, PerQueue};

/// Counters of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteFamilies {
    pub(super) accepted: PerQueue,
    pub(super) delivered: PerQueue,
    pub(super) enqueue_failed: Counters,
    pub(super) dead_letters: Counters,
    pub(super) dropped: Counters,
    pub(super) dropped_requests: Counters,
}

impl ByteFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        let (accepted, delivered) = (self.accepted.clone(), self.delivered.clone());
        let help = "Bytes of the requests that the queue took";
        registry.register_with_unit("exporter_queue_accepted", help, Unit::Bytes, accepted);
        let help = "Bytes of the requests of the queue that the destination holds";
        registry.register_with_unit("exporter_queue_delivered", help, Unit::Bytes, delivered);
        let counters = [
            (
                "exporter_enqueue_failed",
                "Bytes of the requests that the queue did not take",
                &self.enqueue_failed,
            ),
            (
                "exporter_dead_letter",
                "Bytes of the requests that went into the dead-letter file",
                &self.dead_letters,
            ),
            (
                "exporter_dropped",
                "Bytes of the requests that could not be delivered, or some spans of which, and are lost",
                &self.dropped,
            ),
            (
                "exporter_queue_dropped",
                "Bytes of what the queue lost: to its size, its age, or damage",
                &self.dropped_requests,
            ),
        ];
        for (name, help, family) in counters {
            registry.register_with_unit(name, help, Unit::Bytes, family.clone());
        }
    }
}
