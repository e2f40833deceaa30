//! Which run a trace belongs to.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::mapping::TraceUpdate;
use crate::mapping::routing::attribute_text;
use crate::otlp::model::{ExportTraceServiceRequest, KeyValue};
use crate::semconv::otel::{SERVICE_INSTANCE_ID, SERVICE_NAME};

/// Characters of a key that are kept readable; the hash has them all.
const READABLE: usize = 250;

/// Which traces share a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunMode {
    /// No runs are made; a trace that names an existing run by `mlflow.run_id` is linked to it.
    #[default]
    Off,
    /// Those that name the same run: an existing one by `mlflow.run_id` or the header
    /// `x-mlflow-run-id`, or one of our own by an attribute.
    Attribute,
    /// Those of one session, as the trace's session is found for MLflow.
    Session,
    /// Every trace has its own.
    Trace,
    /// Those of one service instance: `service.name` and `service.instance.id` of the root's resource.
    Service,
}

impl RunMode {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Attribute => "attribute",
            Self::Session => "session",
            Self::Trace => "trace",
            Self::Service => "service",
        }
    }
}

/// What identifies a run that the gateway makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunKey {
    /// The experiment of the run.
    pub experiment_id: i64,
    /// Why its traces share it.
    pub mode: RunMode,
    /// What they share: a name, a session, a trace id, a service instance.
    pub key: String,
}

impl RunKey {
    /// The run's id in a database, and its mark on a server, which picks ids itself: 32 hex digits, the
    /// same in every gateway.
    pub fn run_id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("otel-mlflow run 1\0{}\0{}\0", self.experiment_id, self.mode.as_str()));
        hash.update(&self.key);
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key, as long as a name may be.
    pub fn readable(&self) -> &str {
        crate::mapping::limits::cut(&self.key, READABLE)
    }
}

/// The runs that the gateway makes for the traces of a request, by trace id.
pub type RunKeys = HashMap<String, RunKey>;

/// Finds the run of each trace. `attribute` is the name that mode `attribute` looks for, on the spans
/// and then on their resource.
///
/// A trace without what the mode asks for has no run. Of a service, the span that counts is the root,
/// so that a trace through several services belongs to one of them.
pub fn run_keys(
    request: &ExportTraceServiceRequest,
    updates: &[TraceUpdate],
    mode: RunMode,
    attribute: &str,
) -> RunKeys {
    let found = match mode {
        RunMode::Off => return RunKeys::new(),
        RunMode::Trace | RunMode::Session => HashMap::new(),
        RunMode::Attribute => by_span(request, |_, span, resource| {
            let named = [span, resource].into_iter().filter_map(|place| attribute_text(place, attribute));
            named.map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
        }),
        RunMode::Service => by_span(request, |is_root, _, resource| is_root.then(|| instance(resource))?),
    };
    let key = |update: &TraceUpdate| match mode {
        RunMode::Trace => Some(update.trace_id.clone()),
        RunMode::Session => update.session_id.clone(),
        _ => found.get(&update.trace_id).cloned(),
    };
    let keyed = updates.iter().filter_map(|update| {
        let key = RunKey { experiment_id: update.experiment_id, mode, key: key(update)? };
        Some((update.trace_id.clone(), key))
    });
    keyed.collect()
}

/// What the first span of each trace that has it says.
fn by_span(
    request: &ExportTraceServiceRequest,
    read: impl Fn(bool, &[KeyValue], &[KeyValue]) -> Option<String>,
) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for group in &request.resource_spans {
        let resource = group.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let Ok(ids) = crate::mapping::span::ids(span) else { continue };
            if let Some(text) = read(ids.parent.is_none(), &span.attributes, resource) {
                found.entry(crate::mapping::span::trace_id(ids.trace)).or_insert(text);
            }
        }
    }
    found
}

fn instance(resource: &[KeyValue]) -> Option<String> {
    let service = attribute_text(resource, SERVICE_NAME).filter(|name| !name.is_empty())?;
    Some(match attribute_text(resource, SERVICE_INSTANCE_ID).filter(|id| !id.is_empty()) {
        Some(instance) => format!("{service}/{instance}"),
        None => service,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::prices::PriceCatalogue;
    use crate::mapping::{Backend, MapContext, MapOptions, Repairs, map};
    use crate::otlp::model::{AnyValue, Resource, ResourceSpans, ScopeSpans, Span, any_value};

    fn text(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(any_value::Value::String(value.to_owned())) });
        KeyValue { key: key.to_owned(), value }
    }

    fn request() -> ExportTraceServiceRequest {
        let span = |id: u8, parent: &[u8], attributes| Span {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.to_vec(),
            attributes,
            ..Span::default()
        };
        let group = |service: &str, instance: &str, span: Span| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text(SERVICE_NAME, service), text(SERVICE_INSTANCE_ID, instance)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        let child = span(2, &[1; 8], vec![text("mlflow.run_name", " nightly ")]);
        let root = span(1, &[], vec![text("session.id", "s-1")]);
        ExportTraceServiceRequest {
            resource_spans: vec![group("tools", "b", child), group("app", "a", root)],
        }
    }

    fn key_in(mode: RunMode) -> Option<String> {
        let request = request();
        let options = MapOptions {
            backend: Backend::Sqlite,
            prices: PriceCatalogue::bundled(),
            repairs: Repairs::default(),
        };
        let mapped = map(&request, &MapContext { experiment_id: 3, ..MapContext::default() }, &options);
        let mut keys = run_keys(&request, &mapped.updates, mode, "mlflow.run_name");
        keys.remove(&format!("tr-{}", "07".repeat(16))).map(|key| key.key)
    }

    #[test]
    fn each_mode_finds_what_traces_share() {
        assert_eq!(key_in(RunMode::Off), None);
        assert_eq!(key_in(RunMode::Attribute).as_deref(), Some("nightly"));
        assert_eq!(key_in(RunMode::Session).as_deref(), Some("s-1"));
        assert_eq!(key_in(RunMode::Trace), Some(format!("tr-{}", "07".repeat(16))));
        assert_eq!(key_in(RunMode::Service).as_deref(), Some("app/a"));
    }

    #[test]
    fn ids_depend_on_experiment_mode_and_key_and_on_nothing_else() {
        let key =
            |experiment_id, mode, key: &str| RunKey { experiment_id, mode, key: key.to_owned() }.run_id();
        // Stored in databases: a change would make every run a second time.
        assert_eq!(key(1, RunMode::Session, "a"), key(1, RunMode::Session, "a"));
        let others =
            [key(2, RunMode::Session, "a"), key(1, RunMode::Trace, "a"), key(1, RunMode::Session, "b")];
        assert!(!others.contains(&key(1, RunMode::Session, "a")), "{others:?}");
        assert!(others.iter().all(|id| id.len() == 32 && id.chars().all(|digit| digit.is_ascii_hexdigit())));
    }
}
