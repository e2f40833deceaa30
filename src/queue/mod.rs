//! A durable log of opaque records between receivers and exporters.
//!
//! ```text
//! append ──> writer (one write, one fsync for many) ──> segment │ segment │ segment
//!   └─ answered when the record is where `Durability` says        ^            ^
//!                                                     cursor "mlflow"    cursor "otlp"
//! ```
//!
//! Records are appended in order and read in order. Every exporter has a cursor of its own: what it acknowledged,
//! in whatever order, is remembered across restarts, and a slow one holds back no other. A segment is deleted
//! when every cursor is done with it.
//!
//! What it promises:
//!
//! - A record that was accepted as [`Durability::Fsynced`] is delivered to every cursor at least once, whatever
//!   kills the process or the machine, unless a limit of [`Options`] drops it (counted) or the medium loses it
//!   (found by checksum, counted, set aside in `corrupt/`).
//! - A refused record is refused with an error that says whether and when to try again; it may still be
//!   delivered, as any write whose answer was lost.
//! - Damage costs the damaged records alone, and never prevents start.
//! - Records stay on the medium: memory holds what waits to be written (bounded), one record per reader, and a
//!   few numbers per segment.
//!
//! It knows nothing of spans. [`Log::memory`] is the same without files.
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use opentelemetry_mlflow::queue::{Log, Options, SystemDisk};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let options = Options { cursors: vec!["mlflow".to_owned()], ..Options::default() };
//! let (log, recovery) = Log::open(directory, options, SystemDisk::new())?;
//! assert_eq!(recovery.records, 0);
//!
//! log.append(Bytes::from_static(b"a request")).wait()?; // or `.await`
//!
//! let mut reader = log.reader("mlflow")?;
//! let record = reader.next()?.ok_or("empty")?;
//! assert_eq!(record.payload, "a request");
//! reader.acker().ack(record.position);
//! log.close()?;
//! # Ok(())
//! # }
//! ```

mod active;
mod commit;
mod cursor;
mod cursor_file;
mod damage;
mod disk;
mod error;
mod event;
mod flood;
mod log;
mod options;
mod origin;
mod place;
mod reader;
mod record;
mod recovery;
mod release;
mod scan;
mod segment;
mod sequences;
mod shared;
mod state;
mod stats;
mod system_disk;
mod ticket;
mod upkeep;
mod window;

#[cfg(test)]
mod tests;

pub use disk::{Disk, DiskFile, Entry, Holder};
pub use error::QueueError;
pub use event::Changed;
pub use log::Log;
pub use options::{Durability, Options, WEIGHED_BYTES, Weigh, WhenFull};
pub use origin::Origin;
pub use reader::{Acker, Position, Reader, Record};
pub use recovery::Recovery;
pub use stats::{CursorStats, Stats};
pub use system_disk::{SystemDisk, create_directories};
pub use ticket::Ticket;
