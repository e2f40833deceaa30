//! Repairs of the token counts and of the cost of a span.

use super::attributes::Attributes;
use super::dialects::{DIALECTS, Tokens};
use super::python::{Dict, Number, Value, int_from_str};
use super::repairs::Repairs;
use super::text::Text;
use super::usage::COST_KEYS;
use crate::semconv::gen_ai_former::{USAGE_CACHE_CREATION_FORMER, USAGE_CACHE_READ_FORMER};
use crate::semconv::mlflow::LLM_COST;

/// Repairs counts that a dialect has given; only those that fit 64 bits are touched.
pub(super) fn repair(tokens: &mut Tokens, attributes: &Attributes<'_>, repairs: &Repairs) {
    if repairs.usage_totals {
        for count in tokens.all_mut() {
            if count.as_ref().and_then(small).is_some_and(|count| count < 0) {
                *count = None;
            }
        }
    }
    if repairs.cached_tokens && tokens.input.is_some() {
        let former = |key| attributes.get(key).and_then(count).map(Value::from);
        tokens.cache_read = tokens.cache_read.take().or_else(|| former(USAGE_CACHE_READ_FORMER));
        tokens.cache_creation = tokens.cache_creation.take().or_else(|| former(USAGE_CACHE_CREATION_FORMER));
        include_cached(tokens);
    }
    if repairs.usage_totals && tokens.total.is_none() {
        let (input, output) = (tokens.input.as_ref(), tokens.output.as_ref());
        tokens.total = match (input, output) {
            (Some(_), Some(_)) => None,
            (known, other) => known.or(other).cloned(),
        };
    }
}

/// Adds the cached tokens to the input where the numbers say that they are not part of it: they are
/// more than the input, or the total has them in addition.
fn include_cached(tokens: &mut Tokens) -> Option<()> {
    let input = small(tokens.input.as_ref()?)?;
    let part = |count: &Option<Value>| count.as_ref().map_or(Some(0), small);
    let cached = part(&tokens.cache_read)?.checked_add(part(&tokens.cache_creation)?)?;
    let output = part(&tokens.output)?;
    let total = tokens.total.as_ref().and_then(small);
    let apart = input.checked_add(output)?;
    let with_cached = apart.checked_add(cached)?;
    if cached > 0 && (cached > input || total == Some(with_cached)) {
        tokens.input = Some(Value::from(input.checked_add(cached)?));
        if total == Some(apart) {
            tokens.total = Some(Value::from(with_cached));
        }
    }
    Some(())
}

fn small(value: &Value) -> Option<i64> {
    value.as_number()?.to_i64_column()
}

fn count(text: &Text<'_>) -> Option<i64> {
    match text.decode() {
        Value::Int(count) => count.as_i64(),
        Value::Str(text) => int_from_str(text.as_utf8()?)?.as_i64(),
        _ => None,
    }
    .filter(|count| *count >= 0)
}

/// Takes the cost that the sender states, if there is one.
pub(super) fn add_stated_cost(attributes: &mut Attributes<'_>) {
    if attributes.contains(LLM_COST) {
        return;
    }
    let Some([input, output, total]) = DIALECTS.iter().find_map(|dialect| dialect.costs.read(attributes))
    else {
        return;
    };
    let sum = || Some(input.unwrap_or(0.0) + output.unwrap_or(0.0));
    let members = COST_KEYS.into_iter().zip([input, output, total.or_else(sum)]);
    let members: Dict =
        members.filter_map(|(key, cost)| Some((key, Value::from(Number::Float(cost?))))).collect();
    attributes.set_object(LLM_COST, members);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(counts: [Option<i64>; 5]) -> [Option<i64>; 5] {
        let [input, output, total, cache_read, cache_creation] = counts.map(|count| count.map(Value::from));
        let mut tokens = Tokens { input, output, total, cache_read, cache_creation };
        repair(&mut tokens, &Attributes::default(), &Repairs::default());
        [tokens.input, tokens.output, tokens.total, tokens.cache_read, tokens.cache_creation]
            .map(|count| count.as_ref().and_then(small))
    }

    #[test]
    fn cached_tokens_become_part_of_the_input_once() {
        let included = [Some(100), Some(5), None, Some(80), None];
        assert_eq!(repaired(included), included);
        assert_eq!(repaired([Some(20), Some(5), None, Some(80), None])[0], Some(100));
        let by_total = repaired([Some(90), Some(5), Some(175), Some(80), None]);
        assert_eq!((by_total[0], by_total[2]), (Some(170), Some(175)));
        let too_small = repaired([Some(20), Some(5), Some(25), Some(80), Some(10)]);
        assert_eq!((too_small[0], too_small[2]), (Some(110), Some(115)));
        assert_eq!(repaired(too_small), too_small, "a second time changes nothing");
    }

    #[test]
    fn totals_are_true_and_counts_not_negative() {
        assert_eq!(repaired([Some(7), None, None, None, None])[2], Some(7));
        assert_eq!(repaired([Some(0), None, None, None, None])[2], Some(0));
        assert_eq!(repaired([Some(-7), Some(2), None, None, Some(-1)]), [None, Some(2), Some(2), None, None]);
    }
}
