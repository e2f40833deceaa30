//! The client: one connection to MLflow, for everything that is tracked.

use std::sync::Arc;

use crate::store::tracking::TrackingStore;

/// A connection to MLflow. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn TrackingStore>,
}

impl Client {
    /// A client over a store that is open already.
    pub fn new(store: Arc<dyn TrackingStore>) -> Self {
        Self { store }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn TrackingStore> {
        &self.store
    }
}
