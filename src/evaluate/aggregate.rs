//! Mean, variance and percentile as numpy computes them, which MLflow uses: equal to the last bit.

/// What MLflow logs of the scores of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Average.
    Mean,
    /// Variance of the scores as a population.
    Variance,
    /// What nine of ten scores do not exceed, interpolated between neighbours.
    P90,
    /// Lowest.
    Min,
    /// Highest.
    Max,
    /// What half of the scores do not exceed, interpolated between neighbours.
    Median,
    /// All of them together.
    Sum,
}

impl Aggregation {
    /// Those that MLflow logs unless told otherwise.
    pub const STANDARD: &'static [Self] = &[Self::Mean, Self::Variance, Self::P90];

    /// The last part of the metric's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::P90 => "p90",
            Self::Min => "min",
            Self::Max => "max",
            Self::Median => "median",
            Self::Sum => "sum",
        }
    }

    /// The aggregate of these scores; `None` without scores.
    pub fn of(self, scores: &[f64]) -> Option<f64> {
        if scores.is_empty() {
            return None;
        }
        Some(match self {
            Self::Mean => mean(scores),
            Self::Variance => variance(scores),
            Self::P90 => percentile(scores, 90.0 / 100.0),
            Self::Min => scores.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Median => percentile(scores, 0.5),
            Self::Sum => sum(scores),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no table has 2^53 rows")]
fn mean(scores: &[f64]) -> f64 {
    sum(scores) / scores.len() as f64
}

fn variance(scores: &[f64]) -> f64 {
    let mean = mean(scores);
    let squares: Vec<f64> = scores.iter().map(|score| (score - mean) * (score - mean)).collect();
    self::mean(&squares)
}

/// Between the two scores next to the place, from the nearer one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a table: positive, and far below 2^53"
)]
fn percentile(scores: &[f64], part: f64) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() - 1) as f64 * part;
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let (low, high, share) = (at(below), at(below + 1), place - place.floor());
    if share >= 0.5 { high - (high - low) * (1.0 - share) } else { low + (high - low) * share }
}

/// Pairwise, as numpy adds: blocks of at most 128, in each eight sums side by side.
fn sum(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    const BLOCK: usize = 128;
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return sum(left) + sum(right);
    }
    let mut chunks = values.chunks_exact(LANES);
    let Some(first) = chunks.next().and_then(|chunk| <[f64; LANES]>::try_from(chunk).ok()) else {
        return values.iter().fold(0.0, |total, value| total + value);
    };
    let mut lanes = first;
    for chunk in chunks.by_ref() {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let total = ((a + b) + (c + d)) + ((e + f) + (g + h));
    chunks.remainder().iter().fold(total, |total, value| total + value)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Aggregation;

    #[test]
    fn aggregates_are_those_of_numpy() {
        let table: Value = serde_json::from_str(include_str!("../../tests/data/readability.json")).unwrap();
        for case in table["aggregates"].as_array().unwrap() {
            let scores: Vec<f64> =
                case["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
            for one in Aggregation::STANDARD {
                let expected = case[one.as_str()].as_f64().unwrap();
                let found = one.of(&scores).unwrap();
                assert_eq!(found.to_bits(), expected.to_bits(), "{one:?} of {} scores", scores.len());
            }
        }
    }

    #[test]
    fn the_other_aggregates() {
        let scores = [4.0, 1.0, 3.0, 2.0];
        let all = [Aggregation::Min, Aggregation::Max, Aggregation::Median, Aggregation::Sum];
        assert_eq!(all.map(|one| one.of(&scores)), [Some(1.0), Some(4.0), Some(2.5), Some(10.0)]);
        assert_eq!(Aggregation::Mean.of(&[]), None);
    }
}
