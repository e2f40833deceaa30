//! How to map.

use std::sync::Arc;

use super::prices::PriceCatalogue;
use super::repairs::Repairs;

/// What mapping depends on beside the request.
#[derive(Clone, Debug)]
pub struct MapOptions {
    /// The database behind MLflow: what it cannot store is refused.
    pub backend: Backend,
    /// Prices for spans that come without a cost.
    pub prices: Arc<PriceCatalogue>,
    /// Where to be better than MLflow's own mapping; [`Repairs::NONE`] is MLflow's.
    pub repairs: Repairs,
}

/// The kind of database behind MLflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SQLite: takes texts of any length.
    Sqlite,
    /// PostgreSQL: limits the lengths of texts, and takes no NUL character in them.
    Postgres,
}
