//! Collected telemetry against the vendored files of the registry.
//!
//! What the files say in words only is checked where it can be decided from the telemetry itself.

mod attributes;
mod events;
mod metrics;
mod model;
mod schema;
mod spans;
mod yaml;

use std::sync::LazyLock;

use crate::telemetry::{Event, Point, Span, Telemetry};
use model::Registry;
use schema::Schemas;

/// The files, read once.
pub(crate) struct Rules {
    registry: Registry,
    schemas: Schemas,
}

static RULES: LazyLock<Rules> =
    LazyLock::new(|| Rules { registry: Registry::read(), schemas: Schemas::read() });

/// What is wrong with a span.
pub(crate) fn check_span(span: &Span) -> Vec<String> {
    spans::check(&RULES, span)
}

/// What is wrong with a series of a metric.
pub(crate) fn check_point(point: &Point) -> Vec<String> {
    metrics::check(&RULES, point)
}

/// What is wrong with an event.
pub(crate) fn check_event(event: &Event) -> Vec<String> {
    events::check(&RULES, event)
}

/// Fails if anything that was collected is not as the registry says.
pub(crate) fn assert_valid(telemetry: &Telemetry) {
    let wrong = violations(telemetry);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All that is wrong with what was collected.
pub(crate) fn violations(telemetry: &Telemetry) -> Vec<String> {
    let named = |name: String| move |wrong: String| format!("{name}: {wrong}");
    let mut wrong = Vec::new();
    for span in telemetry.spans() {
        wrong.extend(check_span(&span).into_iter().map(named(format!("span {}", span.name))));
    }
    for point in telemetry.points() {
        wrong.extend(check_point(&point).into_iter().map(named(format!("metric {}", point.metric))));
    }
    for event in telemetry.events() {
        wrong.extend(check_event(&event).into_iter().map(named(format!("event {}", event.name))));
    }
    wrong
}
