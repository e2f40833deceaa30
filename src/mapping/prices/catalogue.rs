//! Prices by provider and model.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::file::{self, About, Price, PriceFile, Prices, PricesError};

const BUNDLED: &str = include_str!("../../../data/prices/mlflow-3.17.2.json");

static CATALOGUE: LazyLock<Arc<PriceCatalogue>> = LazyLock::new(|| {
    // A test reads the built-in file, so it always parses.
    let file = file::parse(BUNDLED, Path::new("mlflow-3.17.2.json")).unwrap_or_default();
    Arc::new(PriceCatalogue::new(file))
});

/// The prices of models.
#[derive(Debug)]
pub struct PriceCatalogue {
    about: About,
    by_provider: HashMap<String, HashMap<String, Rates>>,
    /// Of each model, what a search through all providers finds.
    by_model: HashMap<String, Rates>,
}

/// Prices of a model in US dollars per token; one that is not published is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Input tokens that no cache served.
    pub input: Option<f64>,
    /// Output tokens.
    pub output: Option<f64>,
    /// Input tokens read from a cache.
    pub cache_read: Option<f64>,
    /// Input tokens written to a cache.
    pub cache_write: Option<f64>,
    /// Input tokens written to a cache that keeps them for an hour.
    pub cache_write_1hr: Option<f64>,
}

impl PriceCatalogue {
    /// The built-in prices, read when they are first asked for.
    pub fn bundled() -> Arc<Self> {
        Arc::clone(&CATALOGUE)
    }

    /// Prices from a file that has the form of the built-in one, `data/prices/`.
    ///
    /// # Errors
    /// If the file cannot be read or has another form.
    pub fn from_file(path: &Path) -> Result<Self, PricesError> {
        file::read(path).map(Self::new)
    }

    /// Where the prices come from.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The number of models, counted once for each provider.
    pub fn len(&self) -> usize {
        self.by_provider.values().map(HashMap::len).sum()
    }

    /// Whether there is no model at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Prices of a model: those of its provider, or else of the first provider, in the order of
    /// their names, that asks money for input, or else of the first that knows the model.
    ///
    /// What precedes the first `/` of a model's name does not matter. The provider's letters may
    /// be large or small, the model's may not.
    pub fn rates(&self, model: &str, provider: Option<&str>) -> Option<Rates> {
        let bare = model.split_once('/').map_or(model, |(_, bare)| bare);
        let models = provider.and_then(|provider| self.by_provider.get(&provider.to_lowercase()));
        models.and_then(|models| models.get(bare)).or_else(|| self.by_model.get(bare)).copied()
    }

    fn new(file: PriceFile) -> Self {
        let mut catalogue = Self { about: file.about, by_provider: HashMap::new(), by_model: HashMap::new() };
        for (provider, models) in file.providers {
            let models: HashMap<String, Rates> =
                models.into_iter().map(|(model, prices)| (model, Rates::from(prices))).collect();
            for (model, rates) in &models {
                catalogue.offer(model, *rates);
            }
            catalogue.by_provider.insert(provider, models);
        }
        catalogue
    }

    /// Takes rates into the search, in the order of the providers.
    fn offer(&mut self, model: &str, rates: Rates) {
        match self.by_model.get_mut(model) {
            None => {
                self.by_model.insert(model.to_owned(), rates);
            }
            Some(found) if !found.has_input_price() && rates.has_input_price() => *found = rates,
            Some(_) => {}
        }
    }
}

impl Rates {
    fn has_input_price(&self) -> bool {
        self.input.is_some_and(|price| price != 0.0)
    }
}

impl From<Prices> for Rates {
    /// Divides first: a cost is tokens times the price of one token, which rounds otherwise than
    /// a million tokens' price times their number.
    fn from(prices: Prices) -> Self {
        let per_token = |price: Option<Price>| price.map(|Price(million)| million / 1_000_000.0);
        Self {
            input: per_token(prices.input),
            output: per_token(prices.output),
            cache_read: per_token(prices.cache_read),
            cache_write: per_token(prices.cache_write),
            cache_write_1hr: per_token(prices.cache_write_1hr),
        }
    }
}
