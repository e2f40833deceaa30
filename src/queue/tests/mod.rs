//! The whole log, on a disk that tests can break and on the real one.

mod again;
mod crash;
mod damage;
mod fake;
mod faults;
mod gaps;
mod harness;
mod limits;
mod memory;
mod model;
mod system;
mod trouble;
mod wanted;
