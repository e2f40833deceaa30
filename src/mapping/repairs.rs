//! Where the mapping is better than MLflow's own.

use schemars::JsonSchema;
use serde::Deserialize;

/// Repairs of what MLflow leaves blank or gets wrong. Each can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Repairs {
    /// Fill the type of every translated span. MLflow shows the type in the span but leaves its
    /// column empty, so filters and metrics by type miss the span.
    pub span_types: bool,
    /// Name a trace after its root span, or after its first GenAI span if the root is a plain HTTP or
    /// RPC call. MLflow leaves the name of traces that come over OTLP empty.
    pub trace_names: bool,
    /// Show of GenAI messages what was said, keep previews valid JSON when they are cut, and show lists
    /// and numbers as JSON. MLflow shows such messages as JSON, cuts in the middle of the text, and fails
    /// on values that are no text.
    pub previews: bool,
    /// Find session and user in the attributes of every convention, and the source in `service.name`.
    /// MLflow knows `session.id`, `gen_ai.conversation.id` and `user.id` only, and an empty one hides
    /// all others.
    pub identities: bool,
    /// Shorten a session id or a trace name that is too long; the end of a shortened session id tells
    /// ids apart. MLflow refuses the whole request.
    pub long_identities: bool,
    /// Keep and count a span once that comes twice in a request. MLflow counts its usage twice; on
    /// PostgreSQL it refuses the whole request.
    pub repeated_spans: bool,
    /// Compute totals anew with every write, so that a span that is sent again replaces what it
    /// counted before. MLflow keeps the old totals if the new span has no usage.
    pub resent_spans: bool,
    /// Give usage a total where only one side is known, and leave out negative counts. MLflow sums up
    /// such a total to zero.
    pub usage_totals: bool,
    /// Count cached tokens as a part of the input tokens, also where the sender does not, and read the
    /// names that OpenLLMetry gives them. MLflow takes both kinds of numbers as they are, and computes
    /// wrong costs for one of them.
    pub cached_tokens: bool,
    /// Take the cost that the sender states. MLflow computes one from its price list instead.
    pub explicit_costs: bool,
    /// Give the tools that were offered to a model the form that the chat view shows. MLflow copies
    /// `gen_ai.tool.definitions` as they are, and its UI then shows no tools.
    pub chat_tools: bool,
    /// Give conversations with pictures, sound, refusals or reasoning once more as
    /// `mlflow.chat.messages`, which the chat view reads first. MLflow's UI shows no chat for them.
    pub chat_messages: bool,
    /// Keep the kind of a span, name and version of its scope, its trace state, dropped counts, and the
    /// message of a status that is no error, as attributes `span.kind`, `otel.scope.name`,
    /// `otel.scope.version`, `w3c.tracestate`, `otel.dropped_attributes_count`,
    /// `otel.dropped_events_count`, `otel.dropped_links_count` and `otel.status_description`. MLflow
    /// loses them.
    pub span_details: bool,
    /// Read the ids of links in OTLP/JSON as hex. MLflow reads them as base64, so they match nothing.
    pub link_ids: bool,
    /// Store bytes as base64. MLflow stores the text of Python's `repr`, and refuses them in resources.
    pub bytes: bool,
    /// Ignore `mlflow.traceTag.` attributes that would overwrite MLflow's own bookkeeping. In MLflow
    /// one of them can break a trace for good.
    pub bookkeeping_tags: bool,
    /// Link all traces of a request to the run that it names. MLflow links none if there are more than
    /// 100.
    pub run_links: bool,
    /// Leave out an attribute that cannot be stored, alone, and report it. MLflow refuses the whole
    /// request.
    pub unusable_values: bool,
    /// Close a trace whose root span does not come, with state `STATE_UNSPECIFIED` and a tag that says so,
    /// after `trace_assembly.close_after`. MLflow shows it as in progress for ever.
    pub unfinished_traces: bool,
    /// Store messages once, as inputs and outputs, and not in the attribute that they came in, too.
    /// Halves the size; off by default, because programs may read the original attribute.
    pub messages_once: bool,
}

impl Repairs {
    /// No repairs: row for row what MLflow stores.
    pub const NONE: Self = Self::all(false);

    const fn all(on: bool) -> Self {
        Self {
            span_types: on,
            trace_names: on,
            previews: on,
            identities: on,
            long_identities: on,
            repeated_spans: on,
            resent_spans: on,
            usage_totals: on,
            cached_tokens: on,
            explicit_costs: on,
            chat_tools: on,
            chat_messages: on,
            span_details: on,
            link_ids: on,
            bytes: on,
            bookkeeping_tags: on,
            run_links: on,
            unusable_values: on,
            unfinished_traces: on,
            messages_once: on,
        }
    }
}

impl Default for Repairs {
    fn default() -> Self {
        let mut repairs = Self::all(true);
        repairs.messages_once = false;
        repairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repair_is_documented() {
        let documentation = include_str!("../../docs/repairs.md");
        let schema = serde_json::to_value(schemars::schema_for!(Repairs)).unwrap();
        let switches = schema["properties"].as_object().unwrap();
        assert!(switches.len() > 10, "{schema}");
        for switch in switches.keys() {
            assert!(documentation.contains(&format!("| `{switch}` |")), "{switch} is not in docs/repairs.md");
        }
    }
}
