//! Comparison with real MLflow, by the table that `scripts/price_cases.py` writes.

use std::io::Write;

use super::*;
use crate::mapping::python::{loads, repr_float};

#[test]
fn bundled_prices_are_read_whole() {
    let prices = PriceCatalogue::bundled();
    assert_eq!(prices.about().mlflow_version, "3.17.2");
    assert_eq!(prices.len(), 4374);
}

#[test]
fn costs_agree_with_mlflow() {
    let prices = PriceCatalogue::bundled();
    let table = loads(include_str!("../../../tests/data/prices.json")).unwrap();
    let rows = table.as_list().unwrap();
    assert!(rows.len() > 200);
    for row in rows {
        let row = row.as_list().unwrap();
        let (model, provider, usage) = (row[0].as_str().unwrap(), row[1].as_str(), row[2].as_str().unwrap());
        let cost = Usage::from_dict(loads(usage).unwrap().as_dict().unwrap())
            .and_then(|usage| prices.cost(model, provider, &usage))
            .map(|cost| [cost.input, cost.output, cost.total].map(repr_float));
        let expected =
            row[3].as_list().map(|costs| [0, 1, 2].map(|at| costs[at].as_str().unwrap().to_owned()));
        assert_eq!(cost, expected, "{model} {provider:?} {usage}");
    }
}

fn file(text: &str) -> Result<PriceCatalogue, PricesError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    PriceCatalogue::from_file(file.path())
}

/// Scenario: the same model at three providers, of which the first asks nothing for input.
/// Guarantees: the search takes the second, the named provider is taken whatever it asks.
#[test]
fn search_takes_the_first_provider_with_an_input_price() {
    let prices = file(
        r#"{"providers": {"c": {"m": {"input": 3}}, "a": {"m": {"output": 5}, "n": {}}, "b": {"m": {"input": 2}}}}"#,
    )
    .unwrap();
    let input = |model, provider| prices.rates(model, provider).map(|rates| rates.input);
    assert_eq!(input("m", None), Some(Some(2e-6)));
    assert_eq!(input("x/m", Some("C")), Some(Some(3e-6)));
    assert_eq!(input("m", Some("a")), Some(None));
    assert_eq!(input("m", Some("unknown")), Some(Some(2e-6)));
    assert_eq!(input("n", None), Some(None));
    assert_eq!(input("o", None), None);
    assert!(!prices.is_empty());
}

#[test]
fn unusable_price_files_are_told_apart() {
    let message = |text| file(text).unwrap_err().to_string();
    for (text, part) in [
        ("", "line 1 column 0"),
        ("{}", "missing field `providers`"),
        (r#"{"providers": {"a": {"m": {"imput": 1}}}}"#, "unknown field `imput`"),
        (r#"{"providers": {"a": {"m": {"input": -1}}}}"#, "at least 0, not -1"),
        (r#"{"providers": {"a": {"m": {"input": "2.5"}}}}"#, "not \"2.5\" at line 1 column"),
        (r#"{"providers": {"a": {"m": {"input": 1e999}}}}"#, "not 1e999"),
    ] {
        let message = message(text);
        assert!(message.contains(part), "{message}");
        assert!(message.contains("see data/prices/"), "{message}");
    }
    let error = PriceCatalogue::from_file(std::path::Path::new("/no/such/file.json")).unwrap_err();
    assert_eq!(error.to_string(), "price file /no/such/file.json cannot be read");
}
