//! The instruments of the GenAI conventions, with the boundaries that the conventions ask for.

use opentelemetry::metrics::{Histogram, Meter};

use crate::semconv::gen_ai::metric;

/// Boundaries of operations, in seconds (docs/gen-ai/gen-ai-metrics.md).
const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Boundaries of the work of an agent, in seconds.
const AGENT_SECONDS: &[f64] = &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6];

/// Boundaries of workflows, in seconds.
const WORKFLOW_SECONDS: &[f64] = &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0];

/// Boundaries of token counts.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Boundaries of how often an agent called something.
const CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Every instrument that the layer, the macros and the manual API record to.
#[cfg_attr(
    not(feature = "async-openai"),
    expect(dead_code, reason = "without a client, its instruments rest")
)]
pub(crate) struct Instruments {
    pub(crate) operation_duration: Histogram<f64>,
    pub(crate) token_usage: Histogram<u64>,
    pub(crate) time_to_first_chunk: Histogram<f64>,
    pub(crate) time_per_output_chunk: Histogram<f64>,
    pub(crate) execute_tool_duration: Histogram<f64>,
    pub(crate) invoke_agent_duration: Histogram<f64>,
    pub(crate) invoke_agent_inference_calls: Histogram<u64>,
    pub(crate) invoke_agent_tool_calls: Histogram<u64>,
    pub(crate) workflow_duration: Histogram<f64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, boundaries: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_boundaries(boundaries.to_vec()).build()
        };
        let counts = |name: &'static str, unit: &'static str, boundaries: &[f64]| {
            meter.u64_histogram(name).with_unit(unit).with_boundaries(boundaries.to_vec()).build()
        };
        Self {
            operation_duration: seconds(metric::CLIENT_OPERATION_DURATION, SECONDS),
            token_usage: counts(metric::CLIENT_TOKEN_USAGE, "{token}", TOKENS),
            time_to_first_chunk: seconds(metric::CLIENT_OPERATION_TIME_TO_FIRST_CHUNK, SECONDS),
            time_per_output_chunk: seconds(metric::CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK, SECONDS),
            execute_tool_duration: seconds(metric::EXECUTE_TOOL_DURATION, SECONDS),
            invoke_agent_duration: seconds(metric::INVOKE_AGENT_DURATION, AGENT_SECONDS),
            invoke_agent_inference_calls: counts(
                metric::INVOKE_AGENT_INFERENCE_CALLS,
                "{inference_call}",
                CALLS,
            ),
            invoke_agent_tool_calls: counts(metric::INVOKE_AGENT_TOOL_CALLS, "{tool_call}", CALLS),
            workflow_duration: seconds(metric::WORKFLOW_DURATION, WORKFLOW_SECONDS),
        }
    }
}
