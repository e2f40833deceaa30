//! The `otlp` receiver over real sockets: what it takes in, and what it says to bad input.
#![cfg(feature = "gateway")]

mod grpc;
mod http;
mod lifecycle;
mod support;
