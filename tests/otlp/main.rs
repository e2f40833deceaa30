//! OTLP over real sockets: what the receiver takes in and says to bad input, and what the exporters
//! make of a receiver's answers.
#![cfg(feature = "gateway")]

#[cfg(test)]
mod exporter;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod support;
