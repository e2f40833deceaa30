//! The `otlp` receiver over real sockets: what it takes in, and what it says to bad input.
#![cfg(feature = "gateway")]

#[cfg(test)]
mod grpc;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod support;
