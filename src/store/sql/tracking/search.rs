//! Searching: from what is looked for to one query, and from its rows to a page.

use super::checks;
use super::filter::{Term, parse, unsupported};
use super::session::{Fault, Row, Session, Value};
use crate::mlflow::entities::{Page, Search, ViewType};
use crate::store::tracking::TrackingError;

/// As many as MLflow gives at most in one page of anything.
const MOST: u32 = 50_000;

/// What can be looked for in one kind of thing.
pub(super) struct Searched {
    /// The table.
    pub(super) table: &'static str,
    /// The columns of a row.
    pub(super) columns: &'static str,
    /// Whether only some experiments are looked in.
    pub(super) in_experiments: bool,
    /// Whether things are moved to the recycle bin.
    pub(super) has_stage: bool,
    /// What always holds.
    pub(super) always: &'static str,
    /// Names of attributes, and their columns.
    pub(super) attributes: &'static [(&'static str, &'static str)],
    /// Other tables with more about it.
    pub(super) details: &'static [Detail],
    /// Order, at last.
    pub(super) order: &'static str,
    /// How many a page has unless the caller says so.
    pub(super) default_results: u32,
}

/// A table of names and values, such as tags.
pub(super) struct Detail {
    /// What stands before the dot in a filter.
    pub(super) scopes: &'static [&'static str],
    /// The table.
    pub(super) table: &'static str,
    /// How its rows `d` belong to those of the searched table.
    pub(super) join: &'static str,
    /// Column of the name.
    pub(super) key: &'static str,
    /// Column of the value.
    pub(super) value: &'static str,
}

/// What attributes may be called by, beside their bare name.
const ATTRIBUTES: &[&str] = &["", "attribute", "attributes", "attr", "run", "trace"];

/// A statement that grows.
struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn condition(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }
}

/// The rows of a page; `extra` holds, too.
pub(super) async fn rows(
    db: &mut dyn Session,
    searched: &Searched,
    search: &Search,
    extra: impl FnOnce(&[Term]) -> &'static str + Send,
) -> Result<Page<Row>, Fault> {
    let terms = parse(search.filter.as_deref().unwrap_or_default())?;
    let Searched { table, columns, always, .. } = searched;
    let mut query =
        Query { sql: format!("SELECT {columns} FROM {table} WHERE {always}"), values: Vec::new() };
    query.sql.push_str(extra(&terms));
    scope(&mut query, searched, search)?;
    for term in &terms {
        let condition = condition(&mut query, searched, term)
            .ok_or_else(|| unsupported(search.filter.as_deref().unwrap_or_default()))?;
        query.condition(&condition);
    }
    let order = order(&mut query, searched, &search.order_by)?;
    let limit = i64::from(search.max_results.unwrap_or(searched.default_results).clamp(1, MOST));
    let offset = offset(search.page_token.as_deref())?;
    let (most, from) = (query.bind(limit + 1), query.bind(offset));
    query.sql.push_str(&format!(" ORDER BY {order} LIMIT {most} OFFSET {from}"));
    let mut items = db.query(&query.sql, query.values).await?;
    let more = i64::try_from(items.len()).is_ok_and(|found| found > limit);
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Page { items, next_page_token: more.then(|| (offset + limit).to_string()) })
}

/// Where the page before ended.
fn offset(token: Option<&str>) -> Result<i64, TrackingError> {
    match token {
        None | Some("") => Ok(0),
        Some(token) => token.parse().ok().filter(|offset| *offset >= 0).ok_or_else(|| {
            TrackingError::invalid(format!("{token:?} is no page of this search; begin with the first one"))
        }),
    }
}

/// Experiments, and the recycle bin.
fn scope(query: &mut Query, searched: &Searched, search: &Search) -> Result<(), TrackingError> {
    if searched.in_experiments {
        let ids = search.experiment_ids.iter().map(|id| checks::experiment_id(id));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let places: Vec<_> = ids.into_iter().map(|id| query.bind(id)).collect();
        // Nowhere to look in.
        let places = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
        query.condition(&format!("experiment_id IN ({places})"));
    }
    if searched.has_stage {
        match search.view {
            ViewType::ActiveOnly => query.condition("lifecycle_stage = 'active'"),
            ViewType::DeletedOnly => query.condition("lifecycle_stage = 'deleted'"),
            ViewType::All => {}
        }
    }
    Ok(())
}

fn attribute(searched: &Searched, scope: &str, name: &str) -> Option<&'static str> {
    if !ATTRIBUTES.contains(&scope) {
        return None;
    }
    searched.attributes.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

fn detail(searched: &Searched, scope: &str) -> Option<&'static Detail> {
    searched.details.iter().find(|detail| detail.scopes.contains(&scope))
}

/// What a term asks of a row.
fn condition(query: &mut Query, searched: &Searched, term: &Term) -> Option<String> {
    let comparator = term.comparator;
    if let Some(column) = attribute(searched, &term.scope, &term.key) {
        let value = query.bind(term.value.clone());
        return Some(format!("{column} {comparator} {value}"));
    }
    let Detail { table, join, key, value, .. } = detail(searched, &term.scope)?;
    let (name, wanted) = (query.bind(term.key.as_str()), query.bind(term.value.clone()));
    Some(format!(
        "EXISTS (SELECT 1 FROM {table} d WHERE {join} AND d.{key} = {name} AND d.{value} {comparator} {wanted})"
    ))
}

/// The wanted order, and then the usual one.
fn order(query: &mut Query, searched: &Searched, wanted: &[String]) -> Result<String, TrackingError> {
    let mut clauses = Vec::new();
    for clause in wanted {
        let (name, direction) = direction(clause);
        let (scope, key) = name.split_once('.').unwrap_or(("", name));
        let key = key.trim_matches(['`', '"']);
        let column = match attribute(searched, scope, key) {
            Some(column) => column.to_owned(),
            None => {
                let detail = detail(searched, scope).ok_or_else(|| unsupported(clause))?;
                let Detail { table, join, key: named, value, .. } = detail;
                let name = query.bind(key);
                format!("(SELECT d.{value} FROM {table} d WHERE {join} AND d.{named} = {name})")
            }
        };
        clauses.push(format!("{column} {direction} NULLS LAST"));
    }
    clauses.push(searched.order.to_owned());
    Ok(clauses.join(", "))
}

/// A clause without its direction, and the direction.
fn direction(clause: &str) -> (&str, &'static str) {
    match clause.trim().rsplit_once(char::is_whitespace) {
        Some((name, way)) if way.eq_ignore_ascii_case("desc") => (name.trim(), "DESC"),
        Some((name, way)) if way.eq_ignore_ascii_case("asc") => (name.trim(), "ASC"),
        _ => (clause.trim(), "ASC"),
    }
}
