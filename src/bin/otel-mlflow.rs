//! The `otel-mlflow` collector.

use std::process::ExitCode;

/// Returns memory to the system sooner and costs less per allocation than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    opentelemetry_mlflow::commands::main()
}
