//! The price file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Why a price file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PricesError {
    /// The file cannot be read.
    #[error("price file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not of the expected form.
    #[error("price file {path} is not valid: {source}; see data/prices/ for the form")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
}

/// Where prices come from; every part is optional in a file of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// Address of the data.
    pub source: String,
    /// The MLflow release whose catalogue it is.
    pub mlflow_version: String,
    /// Day of the newest price.
    pub date: String,
    /// Licence of the data.
    pub license: String,
    /// Unit of the prices, always US dollars per million tokens.
    pub unit: String,
}

/// The file: provider, model, prices. Providers come in the order of their names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceFile {
    #[serde(default)]
    pub(super) about: About,
    pub(super) providers: BTreeMap<String, BTreeMap<String, Prices>>,
}

/// Prices of a model in US dollars per million tokens; none of them is mandatory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) input: Option<Price>,
    pub(super) output: Option<Price>,
    pub(super) cache_read: Option<Price>,
    pub(super) cache_write: Option<Price>,
    pub(super) cache_write_1hr: Option<Price>,
}

/// A price, read as exactly as Python reads it; `serde_json` alone may be off in the last bit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price(pub(super) f64);

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let price: Option<f64> = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
        price.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("price must be a number of at least 0, not {text}"))
        })
    }
}

pub(super) fn parse(text: &str, path: &Path) -> Result<PriceFile, PricesError> {
    serde_json::from_str(text).map_err(|source| PricesError::Parse { path: path.to_owned(), source })
}

pub(super) fn read(path: &Path) -> Result<PriceFile, PricesError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PricesError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}
