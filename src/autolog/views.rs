//! Views: which instruments become which streams.

use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

/// One view, as a configuration file has it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Name of the instrument; `*` stands for any characters, `?` for one.
    pub(super) instrument: Option<String>,
    pub(super) kind: Option<InstrumentKind>,
    pub(super) unit: Option<String>,
    pub(super) meter: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) aggregation: Option<Aggregation>,
    pub(super) cardinality_limit: Option<usize>,
}

impl View {
    /// The stream of an instrument, if the view is about it.
    pub(super) fn stream(&self, instrument: &Instrument) -> Option<Stream> {
        let fits = self.instrument.as_deref().is_none_or(|pattern| fits(pattern, instrument.name()))
            && self.kind.is_none_or(|kind| kind == instrument.kind())
            && self.unit.as_deref().is_none_or(|unit| unit == instrument.unit())
            && self.meter.as_deref().is_none_or(|meter| meter == instrument.scope().name());
        if !fits {
            return None;
        }
        let mut stream = Stream::builder();
        if let Some(name) = &self.name {
            stream = stream.with_name(name.clone());
        }
        if let Some(description) = &self.description {
            stream = stream.with_description(description.clone());
        }
        if let Some(aggregation) = &self.aggregation {
            stream = stream.with_aggregation(aggregation.clone());
        }
        if let Some(limit) = self.cardinality_limit {
            stream = stream.with_cardinality_limit(limit);
        }
        // What cannot be built was refused when the file was checked.
        stream.build().ok()
    }
}

/// Whether a name fits a pattern with `*` and `?`; the case of letters does not count.
fn fits(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', after)), Some((_, tail))) => rest(after, name) || rest(pattern, tail),
            (Some(('*', after)), None) => rest(after, name),
            (Some(('?', after)), Some((_, tail))) => rest(after, tail),
            (Some((letter, after)), Some((first, tail))) => {
                letter.eq_ignore_ascii_case(first) && rest(after, tail)
            }
            _ => false,
        }
    }
    rest(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        assert!(fits("gen_ai.*.duration", "gen_ai.client.operation.duration") && fits("*", "x"));
        assert!(fits("A?c", "abc") && !fits("a?c", "ac") && !fits("gen_ai", "gen_ai.client"));
    }
}
