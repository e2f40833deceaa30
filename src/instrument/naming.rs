//! Which version of the attribute names is emitted.

use opentelemetry::{KeyValue, Value};

use crate::semconv::{gen_ai, gen_ai_former, openai};

/// The environment variable that OpenTelemetry defines for moving from one version to the next.
pub const STABILITY_VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// Which names the telemetry uses, so that dashboards made for the former names survive.
///
/// The former names are those of version 1.36 of the semantic conventions, such as `gen_ai.system`.
/// Where an attribute has no former name, it has its current one in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// The current names.
    #[default]
    Latest,
    /// The names of version 1.36.
    Former,
    /// Both.
    Both,
}

impl Naming {
    /// Reads a list such as `http,gen_ai_latest_experimental`. `gen_ai_latest_experimental` and
    /// nothing at all mean [`Latest`](Self::Latest), `gen_ai/dup` (or
    /// `gen_ai_latest_experimental/dup`) means [`Both`](Self::Both), `gen_ai/former` means
    /// [`Former`](Self::Former). The rest of the list is for other instrumentations.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let mut naming = Self::Latest;
        for entry in list.split(',').map(str::trim) {
            match entry {
                "gen_ai_latest_experimental" => return Self::Latest,
                "gen_ai/dup" | "gen_ai_latest_experimental/dup" => return Self::Both,
                "gen_ai/former" => naming = Self::Former,
                _ => {}
            }
        }
        naming
    }

    /// Gives the attributes the chosen names.
    pub(crate) fn apply(self, attributes: &mut Vec<KeyValue>) {
        match self {
            Self::Latest => {}
            Self::Former => {
                for attribute in attributes.iter_mut() {
                    if let Some(former) = former(attribute) {
                        *attribute = former;
                    }
                }
            }
            Self::Both => attributes.extend(attributes.iter().filter_map(former).collect::<Vec<_>>()),
        }
    }
}

/// The attribute under its former name, if it had another.
fn former(attribute: &KeyValue) -> Option<KeyValue> {
    let name = match attribute.key.as_str() {
        gen_ai::PROVIDER_NAME => gen_ai_former::SYSTEM,
        openai::REQUEST_SERVICE_TIER => gen_ai_former::OPENAI_REQUEST_SERVICE_TIER,
        openai::RESPONSE_SERVICE_TIER => gen_ai_former::OPENAI_RESPONSE_SERVICE_TIER,
        openai::RESPONSE_SYSTEM_FINGERPRINT => gen_ai_former::OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
        _ => return None,
    };
    let value = match &attribute.value {
        Value::String(provider) if provider.as_str() == gen_ai::provider_name::AZURE_AI_OPENAI => {
            Value::from("az.ai.openai")
        }
        other => other.clone(),
    };
    Some(KeyValue::new(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(naming: Naming) -> Vec<(String, String)> {
        let mut attributes = vec![
            KeyValue::new(gen_ai::PROVIDER_NAME, gen_ai::provider_name::AZURE_AI_OPENAI),
            KeyValue::new(gen_ai::REQUEST_MODEL, "m"),
        ];
        naming.apply(&mut attributes);
        attributes.iter().map(|a| (a.key.to_string(), a.value.to_string())).collect()
    }

    #[test]
    fn former_names_replace_or_join_the_current_ones() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let current = pair("gen_ai.provider.name", "azure.ai.openai");
        let former = pair("gen_ai.system", "az.ai.openai");
        let model = pair("gen_ai.request.model", "m");
        assert_eq!(named(Naming::Latest), [current.clone(), model.clone()]);
        assert_eq!(named(Naming::Former), [former.clone(), model.clone()]);
        assert_eq!(named(Naming::Both), [current, model, former]);
    }

    #[test]
    fn the_variable_is_a_list_for_all_instrumentations() {
        assert_eq!(Naming::parse("http/dup, gen_ai/dup"), Naming::Both);
        assert_eq!(Naming::parse("gen_ai/former"), Naming::Former);
        assert_eq!(Naming::parse("http"), Naming::Latest);
        assert_eq!(Naming::parse("gen_ai/former,gen_ai_latest_experimental"), Naming::Latest);
    }
}
