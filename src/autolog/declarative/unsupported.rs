//! Keys of the format that the Rust SDK has nothing for: said by name, never ignored in silence.

use crate::document::problem::{Problem, Problems};
use crate::document::tree::{Data, Node, Path};

/// Whether a file with the key can be used without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gravity {
    /// What is exported would not be what the file asks for.
    Error,
    /// Something is missing that nobody depends on.
    Warning,
}

/// Keys, whether they matter, and what to do instead.
const KEYS: &[(&str, Gravity, &str)] = &[
    ("attribute_value_length_limit", Gravity::Error, LENGTH),
    ("attribute_value_depth_limit", Gravity::Warning, "the Rust SDK has no nested attributes of spans"),
    (
        "log_level",
        Gravity::Warning,
        "the Rust SDK logs through `tracing`: set the level where that is set up",
    ),
    (
        "detection/development",
        Gravity::Warning,
        "nothing is detected; write the attributes under `attributes`",
    ),
    ("tracer_configurator/development", Gravity::Error, "use a sampler"),
    ("meter_configurator/development", Gravity::Error, "use a view with the aggregation `drop`"),
    ("logger_configurator/development", Gravity::Error, "filter where the logs come from"),
    ("exemplar_filter", Gravity::Warning, "the Rust SDK records no exemplars"),
    ("producers", Gravity::Error, "metrics of other libraries cannot be taken in"),
    ("cardinality_limits", Gravity::Error, "use views with `aggregation_cardinality_limit`"),
    ("pull", Gravity::Error, "use a `periodic` reader"),
    ("otlp_file/development", Gravity::Error, "use `otlp_http`, `otlp_grpc` or `console`"),
    ("jaeger_remote/development", Gravity::Error, PLAIN_SAMPLERS),
    ("composite/development", Gravity::Error, PLAIN_SAMPLERS),
    ("probability/development", Gravity::Error, PLAIN_SAMPLERS),
    ("b3", Gravity::Error, W3C),
    ("b3multi", Gravity::Error, W3C),
    ("jaeger", Gravity::Error, W3C),
    ("ottrace", Gravity::Error, W3C),
    ("attribute_keys", Gravity::Error, "drop attributes in the collector"),
    ("event_to_span_event_bridge/development", Gravity::Error, "export the events as logs"),
    ("distribution", Gravity::Warning, "it is for other distributions"),
];

const LENGTH: &str = "content is limited by `instrumentation/development.rust.openai.max_part_bytes`";
const PLAIN_SAMPLERS: &str = "use `always_on`, `always_off`, `trace_id_ratio_based` or `parent_based`";
const W3C: &str = "use `tracecontext` and `baggage`";

/// Takes the keys out of the tree; those that are empty mean nothing, and go without a word.
pub(super) fn take_out(root: &mut Node, problems: &mut Problems) {
    walk(root, &Path::default(), problems);
}

fn walk(node: &mut Node, path: &Path, problems: &mut Problems) {
    match &mut node.data {
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &path.index(index), problems);
            }
        }
        Data::Map(entries) => entries.retain_mut(|entry| {
            let here = path.key(&entry.key);
            // What is below belongs to others, who have keys of their own.
            if matches!(entry.key.as_str(), "instrumentation/development" | "mlflow") {
                return true;
            }
            let Some((key, gravity, advice)) = KEYS.iter().find(|(key, ..)| *key == entry.key) else {
                walk(&mut entry.value, &here, problems);
                return true;
            };
            let is_limit = key.ends_with("_limit");
            if is_limit && matches!(entry.value.data, Data::Null) {
                return false;
            }
            let at = Some(entry.at.clone());
            let message = format!("`{key}` is not available in Rust; {advice}");
            problems.push(match gravity {
                Gravity::Error => Problem::error(here.to_string(), at, message),
                Gravity::Warning => {
                    Problem::warning(here.to_string(), at, format!("{message}; it is left out"))
                }
            });
            false
        }),
        _ => {}
    }
}
