//! The queue around a destination that misbehaves as told.

mod delivery;
mod destination;
mod limits;
mod readiness;
mod restart;
mod returning;
mod support;
