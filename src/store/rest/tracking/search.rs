//! What all searches have in common.

use serde_json::{Value, json};

use super::json::put;
use crate::mlflow::entities::Search;

/// The body of a search: filter, order, page.
pub(super) fn body(search: &Search, most: u32) -> Value {
    let mut body = json!({ "max_results": search.max_results.unwrap_or(most) });
    if let Some(filter) = &search.filter {
        put(Some(&mut body), "filter", json!(filter));
    }
    if !search.order_by.is_empty() {
        put(Some(&mut body), "order_by", json!(search.order_by));
    }
    if let Some(token) = &search.page_token {
        put(Some(&mut body), "page_token", json!(token));
    }
    body
}

/// The same as a query, for searches by GET.
pub(super) fn query(search: &Search, most: u32) -> Vec<(&'static str, String)> {
    let mut query = vec![("max_results", search.max_results.unwrap_or(most).to_string())];
    query.extend(search.filter.iter().map(|filter| ("filter", filter.clone())));
    query.extend(search.order_by.iter().map(|order| ("order_by", order.clone())));
    query.extend(search.page_token.iter().map(|token| ("page_token", token.clone())));
    query
}
