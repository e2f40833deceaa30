//! The components that are built in: one row each.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exporters::debug::DebugExporterConfig;
use crate::exporters::mlflow::MlflowConfig;
use crate::exporters::otlp::{OtlpExporterConfig, OtlpHttpExporterConfig};
use crate::processors::{
    AttributesConfig, BatchProcessorConfig, FilterConfig, MemoryLimiterConfig, ProbabilisticSamplerConfig,
    RedactConfig, TailSamplingConfig,
};
use crate::receivers::otlp::OtlpReceiverConfig;
use crate::receivers::trust::is_reachable;
use crate::telemetry::AdminConfig;

/// Where a component stands in a pipeline, or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentKind {
    /// Takes data in.
    Receiver,
    /// Changes data on its way.
    Processor,
    /// Sends data out.
    Exporter,
    /// Serves beside the pipelines.
    Extension,
}

impl ComponentKind {
    /// Every kind, in the order of the sections in a file.
    pub const ALL: [Self; 4] = [Self::Receiver, Self::Processor, Self::Exporter, Self::Extension];

    /// The section of the configuration.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Receiver => "receivers",
            Self::Processor => "processors",
            Self::Exporter => "exporters",
            Self::Extension => "extensions",
        }
    }

    /// The word for one such component.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Extension => "extension",
        }
    }
}

/// How far a component can be relied on, in the Collector's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Its configuration may change without notice.
    Alpha,
    /// Its configuration changes with notice.
    Beta,
    /// Its configuration does not change.
    Stable,
}

impl Stability {
    /// The Collector's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "Alpha",
            Self::Beta => "Beta",
            Self::Stable => "Stable",
        }
    }
}

/// A key of a component, relative to it and dotted, and what is to be said about it: the address that it
/// listens on, or what is wrong with it.
pub type Setting = (String, String);

/// The settings of a component, as its own module declares them.
///
/// The struct carries the defaults and the types; this says what they cannot.
pub trait ComponentConfig: DeserializeOwned + JsonSchema {
    /// What is wrong with the settings as a whole: key and message.
    fn problems(&self) -> Vec<Setting> {
        Vec::new()
    }

    /// The addresses that the component listens on: key and `host:port`.
    fn endpoints(&self) -> Vec<Setting> {
        Vec::new()
    }
}

/// A component that is built in.
pub struct ComponentType {
    /// The name of its type: the part of an id before the slash.
    pub name: &'static str,
    /// How far it can be relied on.
    pub stability: Stability,
    /// What it does, in one line.
    pub description: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads settings that fit the schema, and judges them.
    pub inspect: fn(&Value) -> Inspection,
}

/// What a component says about its settings.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What is wrong: key and message.
    pub problems: Vec<Setting>,
    /// Where it listens: key and address.
    pub endpoints: Vec<Setting>,
}

impl ComponentType {
    /// A row of a table.
    pub const fn new<C: ComponentConfig>(
        name: &'static str,
        stability: Stability,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            stability,
            description,
            schema: SchemaGenerator::subschema_for::<C>,
            inspect: inspect::<C>,
        }
    }
}

fn inspect<C: ComponentConfig>(settings: &Value) -> Inspection {
    let mut settings = settings.clone();
    let mut problems = Vec::new();
    // serde stops at the first value that it cannot read. Without that value it goes on to the next.
    loop {
        let error = match serde_path_to_error::deserialize::<_, C>(&settings) {
            Ok(_) if !problems.is_empty() => break Inspection { problems, endpoints: Vec::new() },
            Ok(config) => break Inspection { problems: config.problems(), endpoints: config.endpoints() },
            Err(error) => error,
        };
        let path = error.path().to_string();
        // The path of the whole is written as a dot.
        let path = path.trim_matches('.').to_owned();
        let removed = remove(&mut settings, &path);
        problems.push((path, error.into_inner().to_string()));
        if !removed {
            break Inspection { problems, endpoints: Vec::new() };
        }
    }
}

/// Takes the value at a path out, so that its default stands there; `false` where there is none.
fn remove(settings: &mut Value, path: &str) -> bool {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer = parent.split('.').filter(|part| !part.is_empty()).map(|part| format!("/{part}"));
    settings
        .pointer_mut(&pointer.collect::<String>())
        .and_then(Value::as_object_mut)
        .is_some_and(|map| map.shift_remove(key).is_some())
}

/// The components that a configuration may name.
pub struct Catalogue {
    /// The receivers.
    pub receivers: &'static [ComponentType],
    /// The processors.
    pub processors: &'static [ComponentType],
    /// The exporters.
    pub exporters: &'static [ComponentType],
    /// The extensions.
    pub extensions: &'static [ComponentType],
}

/// The components of this build.
pub const BUILT_IN: Catalogue =
    Catalogue { receivers: RECEIVERS, processors: PROCESSORS, exporters: EXPORTERS, extensions: EXTENSIONS };

const RECEIVERS: &[ComponentType] = &[ComponentType::new::<OtlpReceiverConfig>(
    "otlp",
    Stability::Beta,
    "OTLP over gRPC and HTTP, in protobuf and JSON",
)];

const PROCESSORS: &[ComponentType] = &[
    ComponentType::new::<AttributesConfig>(
        "attributes",
        Stability::Beta,
        "Inserts, updates, deletes and hashes attributes of spans",
    ),
    ComponentType::new::<BatchProcessorConfig>(
        "batch",
        Stability::Beta,
        "Larger requests of small ones, by count, bytes and time",
    ),
    ComponentType::new::<FilterConfig>("filter", Stability::Beta, "Drops spans by what they are"),
    ComponentType::new::<MemoryLimiterConfig>(
        "memory_limiter",
        Stability::Beta,
        "Refuses requests while those under way hold too much memory",
    ),
    ComponentType::new::<ProbabilisticSamplerConfig>(
        "probabilistic_sampler",
        Stability::Beta,
        "Keeps a share of the traces by their ids",
    ),
    ComponentType::new::<RedactConfig>(
        "redact",
        Stability::Beta,
        "Masks secrets by patterns and keys, also inside JSON",
    ),
    ComponentType::new::<TailSamplingConfig>(
        "tail_sampling",
        Stability::Beta,
        "Keeps whole traces by errors, latency, usage, attributes or chance",
    ),
];

const EXPORTERS: &[ComponentType] = &[
    ComponentType::new::<MlflowConfig>(
        "mlflow",
        Stability::Beta,
        "Traces into MLflow: its server, or straight into its database",
    ),
    ComponentType::new::<OtlpExporterConfig>("otlp", Stability::Beta, "OTLP over gRPC"),
    ComponentType::new::<OtlpHttpExporterConfig>("otlphttp", Stability::Beta, "OTLP over HTTP, in protobuf"),
    ComponentType::new::<DebugExporterConfig>("debug", Stability::Beta, "Spans as text, to standard error"),
];

const EXTENSIONS: &[ComponentType] =
    &[ComponentType::new::<AdminConfig>("admin", Stability::Beta, "Serves /livez, /readyz and /metrics")];

impl Catalogue {
    /// The components of a kind.
    pub const fn of(&self, kind: ComponentKind) -> &'static [ComponentType] {
        match kind {
            ComponentKind::Receiver => self.receivers,
            ComponentKind::Processor => self.processors,
            ComponentKind::Exporter => self.exporters,
            ComponentKind::Extension => self.extensions,
        }
    }

    /// A component by the name of its type.
    pub fn find(&self, kind: ComponentKind, name: &str) -> Option<&'static ComponentType> {
        self.of(kind).iter().find(|component| component.name == name)
    }
}

macro_rules! validated {
    ($($config:ty),*) => {
        $(impl ComponentConfig for $config {
            fn problems(&self) -> Vec<Setting> {
                self.validate()
            }
        })*
    };
}

validated!(
    AttributesConfig,
    BatchProcessorConfig,
    FilterConfig,
    MemoryLimiterConfig,
    ProbabilisticSamplerConfig,
    RedactConfig,
    TailSamplingConfig
);

impl ComponentConfig for OtlpExporterConfig {
    fn problems(&self) -> Vec<Setting> {
        self.validate()
    }
}

impl ComponentConfig for OtlpHttpExporterConfig {
    fn problems(&self) -> Vec<Setting> {
        self.validate()
    }
}

impl ComponentConfig for DebugExporterConfig {
    fn problems(&self) -> Vec<Setting> {
        self.sending_queue.validate()
    }
}

impl ComponentConfig for MlflowConfig {
    fn problems(&self) -> Vec<Setting> {
        self.validate()
    }
}

impl ComponentConfig for OtlpReceiverConfig {
    fn problems(&self) -> Vec<Setting> {
        self.validate()
    }

    fn endpoints(&self) -> Vec<Setting> {
        self.endpoints()
    }
}

impl ComponentConfig for AdminConfig {
    fn problems(&self) -> Vec<Setting> {
        let mut problems = self.validate();
        if problems.is_empty() && !self.insecure && is_reachable(&self.endpoint) {
            let reason = format!(
                "other machines can reach {}, and nothing protects it: listen on 127.0.0.1, or set `insecure: true` \
                 if all who reach it may read metrics and the reasons of failures",
                self.endpoint
            );
            problems.push(("endpoint".to_owned(), reason));
        }
        problems
    }

    fn endpoints(&self) -> Vec<Setting> {
        vec![("endpoint".to_owned(), self.endpoint.clone())]
    }
}
