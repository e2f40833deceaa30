//! The queue around a destination that misbehaves as told.

mod delivery;
mod limits;
mod restart;
mod support;
