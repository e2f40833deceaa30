//! The `otel-mlflow` collector.

use std::process::ExitCode;

/// Gives free memory back soon, also what another thread has freed, at no cost in speed: `.cargo/config.toml` sets it up.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    opentelemetry_mlflow::commands::main()
}
