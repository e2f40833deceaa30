//! What model calls cost.
//!
//! Prices are those of MLflow's own catalogue, condensed by `scripts/prices.py` and built in; a
//! file of the same form replaces them. Lookup and arithmetic are MLflow 3.17.2's, so a cost is
//! equal to the last bit.

mod catalogue;
mod cost;
mod file;
#[cfg(test)]
mod tests;

pub use catalogue::{PriceCatalogue, Rates};
pub use cost::{Cost, Usage};
pub use file::{About, PricesError};
