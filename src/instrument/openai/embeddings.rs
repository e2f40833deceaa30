//! Embeddings (`POST /embeddings`).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::facts::Facts;
use super::shared::shared;
use super::usage::Usage;
use crate::genai::{ContentKind, Json};
use crate::semconv::{gen_ai, mlflow};

/// What the request asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    facts.dimensions = body.get("dimensions").and_then(Json::as_i64);
    facts.int(gen_ai::EMBEDDINGS_DIMENSION_COUNT, facts.dimensions);
    let formats = body.get("encoding_format").and_then(Json::as_str).map(shared);
    facts.strings(gen_ai::REQUEST_ENCODING_FORMATS, formats.into_iter().collect());
    facts.requested_model(body.take_str("model"));
    // The conventions give the input no attribute; MLflow's page shows it from its own.
    if let Some(input) = body.take("input").filter(|_| facts.wants_content()) {
        facts.span_value(mlflow::SPAN_INPUTS, ContentKind::InputMessage, Json::object([("input", input)]));
    }
}

/// What the answer says. Its vectors are counted and never kept.
pub(super) fn response(body: &[u8], facts: &mut Facts) -> Result<(), serde_json::Error> {
    let answer: Answer<'_> = serde_json::from_slice(body)?;
    facts.responding_model(answer.model.and_then(Json::into_str));
    if let Some(usage) = answer.usage.as_ref().and_then(Usage::read) {
        facts.usage = usage;
    }
    let found = answer.data.first().and_then(|first| first.embedding.0);
    if facts.dimensions.is_none() {
        facts.int(gen_ai::EMBEDDINGS_DIMENSION_COUNT, found);
    }
    let summary = [
        ("embeddings", Json::Int(i64::try_from(answer.data.len()).unwrap_or(i64::MAX))),
        ("dimensions", found.map_or(Json::Null, Json::Int)),
    ];
    facts.span_value(mlflow::SPAN_OUTPUTS, ContentKind::OutputMessage, Json::object(summary));
    Ok(())
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Option<Json<'a>>,
    #[serde(borrow, default)]
    usage: Option<Json<'a>>,
    #[serde(default)]
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    embedding: Dimensions,
}

/// How many numbers a vector has: counted in a list, or calculated from base64 of 32-bit floats.
#[derive(Default)]
struct Dimensions(Option<i64>);

impl<'de> Deserialize<'de> for Dimensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;

        impl<'de> Visitor<'de> for Count {
            type Value = Dimensions;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of numbers, or base64")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Dimensions(None))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                let bytes = text.trim_end_matches('=').len() * 3 / 4;
                Ok(Dimensions(i64::try_from(bytes / 4).ok()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut count = 0;
                while access.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Dimensions(Some(count)))
            }
        }

        deserializer.deserialize_any(Count)
    }
}
