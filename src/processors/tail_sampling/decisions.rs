//! The decisions that are remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::TraceId;
use super::config::DecisionCacheConfig;

/// What the tail samplers of a chain have decided, by the id of the processor. It outlives a reload, which makes
/// processors anew.
#[derive(Clone, Debug, Default)]
pub struct Remembered(Arc<Mutex<HashMap<String, Decisions>>>);

/// The latest decisions of one sampler.
#[derive(Clone, Debug, Default)]
pub struct Decisions(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    traces: HashMap<TraceId, bool>,
    sampled: VecDeque<TraceId>,
    not_sampled: VecDeque<TraceId>,
}

impl Remembered {
    /// The decisions of a processor.
    pub fn of(&self, processor: &str) -> Decisions {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(processor.to_owned()).or_default().clone()
    }
}

impl Decisions {
    pub(super) fn get(&self, trace: &TraceId) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).traces.get(trace).copied()
    }

    /// Remembers a decision, and forgets the oldest of its kind: so many of each are kept.
    pub(super) fn add(&self, trace: TraceId, is_sampled: bool, sizes: DecisionCacheConfig) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { traces, sampled, not_sampled } = &mut *known;
        if traces.insert(trace, is_sampled).is_some() {
            return;
        }
        let (order, size) = match is_sampled {
            true => (sampled, sizes.sampled_cache_size),
            false => (not_sampled, sizes.non_sampled_cache_size),
        };
        order.push_back(trace);
        while order.len() > size
            && let Some(oldest) = order.pop_front()
        {
            traces.remove(&oldest);
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().traces.len()
    }
}
