//! What `compat: enriched` does better than MLflow, one switch each.

use schemars::JsonSchema;
use serde::Deserialize;

/// The repairs of `compat: enriched`. Each is a place where MLflow 3.17.2 leaves something blank or
/// gets it wrong when it maps OTLP; with all of them off, the mapping is MLflow's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Repairs {
    /// Fills the column `type` of translated spans. MLflow leaves it empty, so its span metrics and
    /// filters miss every span that did not come from its own SDK.
    pub span_type: bool,
    /// Names a trace after its root span, or after its first GenAI span where the root is plain HTTP
    /// or RPC. MLflow leaves the name empty.
    pub trace_name: bool,
    /// Cuts long previews so that JSON stays valid. MLflow cuts in the middle of a value.
    pub previews: bool,
    /// Fills session, user and source from any convention, and shortens a session id of more than 250
    /// characters. MLflow knows two names for the session and one for the user, and refuses the
    /// whole request for a long session id.
    pub sessions: bool,
    /// Counts tokens and cost right: a span that is repeated counts once, a span that is sent again
    /// replaces what it said before, input without output has a true total, zeros are kept, cached
    /// tokens are read as their source means them, and nothing is negative.
    pub usage: bool,
    /// Keeps what MLflow drops: kind, scope, trace state, dropped counts, and the message of a status
    /// that is no error.
    pub span_details: bool,
    /// Reads the ids of links in JSON as hex, as OTLP says. MLflow reads them as base64.
    pub link_ids: bool,
    /// Stores bytes as base64. MLflow stores Python's notation of them.
    pub bytes: bool,
    /// Keeps a sender's tags from overwriting MLflow's bookkeeping. In MLflow such a tag can make a
    /// trace unreadable for good.
    pub bookkeeping: bool,
    /// Links any number of traces of one request to a run. MLflow links none if there are more than
    /// 100.
    pub run_links: bool,
    /// Leaves an attribute that cannot be stored out alone, and keeps its span.
    pub attributes: bool,
    /// Stores messages once, as inputs and outputs, and not a second time under the attribute that
    /// they came in: half the size, and the UI shows them once. Off unless asked for, because a
    /// search for the original attribute no longer finds them.
    pub messages_once: bool,
}

impl Repairs {
    /// None: the mapping is MLflow's own.
    pub const NONE: Self = Self {
        span_type: false,
        trace_name: false,
        previews: false,
        sessions: false,
        usage: false,
        span_details: false,
        link_ids: false,
        bytes: false,
        bookkeeping: false,
        run_links: false,
        attributes: false,
        messages_once: false,
    };
}

impl Default for Repairs {
    fn default() -> Self {
        Self {
            span_type: true,
            trace_name: true,
            previews: true,
            sessions: true,
            usage: true,
            span_details: true,
            link_ids: true,
            bytes: true,
            bookkeeping: true,
            run_links: true,
            attributes: true,
            messages_once: false,
        }
    }
}
