//! Models from traces: the model behind each call, logged and registered once, beside the traces
//! and never in their way.

#[cfg(feature = "client")]
mod call;
mod config;
#[cfg(feature = "client")]
mod connect;
#[cfg(feature = "client")]
mod watch;

pub use config::ModelsConfig;
#[cfg(all(feature = "client", feature = "autolog"))]
pub(crate) use connect::open;
#[cfg(feature = "client")]
pub(super) use watch::Watch;
