//! Probabilities as OpenTelemetry writes them: a span is kept if its 56 random bits reach a threshold.
//!
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>

/// From 0, which everything reaches, to [`ALL`], which nothing reaches.
pub(super) type Threshold = u64;

/// One more than the largest random number of 56 bits.
pub(super) const ALL: Threshold = 1 << 56;

/// Hexadecimal digits of a threshold.
const DIGITS: u8 = 14;

/// The Collector's hash chooses among so many buckets, a power of two.
const BUCKETS: u32 = 1 << 14;

/// The threshold of a probability, rounded to so many significant digits.
pub(super) fn of_probability(probability: f64, precision: u8) -> Threshold {
    if probability <= 0.0 {
        return ALL;
    }
    if probability >= 1.0 {
        return 0;
    }
    let kept = ((probability * ALL as f64).round() as u64).clamp(1, ALL);
    let threshold = ALL - kept;
    // Leading digits `0` and `f` say little: close to 0 and to 1, more digits follow them.
    let digits = precision.saturating_add(leading(probability).max(leading(1.0 - probability)));
    let shift = 4 * u32::from(DIGITS.saturating_sub(digits));
    match shift {
        0 => threshold,
        // Rounding up to all would drop everything.
        shift => (((threshold + (1 << (shift - 1))) >> shift) << shift).min(ALL - 1),
    }
}

/// Hexadecimal digits that are 0 after the point.
fn leading(fraction: f64) -> u8 {
    let mut digits = 0;
    let mut fraction = fraction;
    while fraction > 0.0 && fraction * 16.0 < 1.0 && digits < DIGITS {
        fraction *= 16.0;
        digits += 1;
    }
    digits
}

/// The probability of a threshold.
pub(super) fn probability(threshold: Threshold) -> f64 {
    ALL.saturating_sub(threshold) as f64 / ALL as f64
}

/// The threshold of the Collector's hash: the percentage is cut to whole buckets, in 32 bits.
pub(super) fn of_buckets(percentage: f32) -> Threshold {
    let kept = (percentage * (BUCKETS as f32 / 100.0)) as u32;
    u64::from(BUCKETS.saturating_sub(kept)) << 42
}

/// The random bits of an id: its last 56.
pub(super) fn low_bits(id: &[u8; 16]) -> u64 {
    (u128::from_be_bytes(*id) % u128::from(ALL)) as u64
}

/// Random bits from a hash: FNV-1a of the seed and the id. Its lowest 14 bits decide, the smallest values
/// being kept; they are turned round to the top, so that the largest are.
pub(super) fn hashed(id: &[u8; 16], seed: u32) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(*id);
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let bucket = hash % BUCKETS;
    let unused = u64::from(hash >> 18);
    let middle = (unused ^ (unused << 10)) & ((1 << 28) - 1);
    (u64::from(BUCKETS - 1 - bucket) << 42) | (middle << 14) | u64::from(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_have_the_thresholds_of_the_specification() {
        for (probability, threshold) in
            [(1.0, 0), (0.5, 0x80_0000_0000_0000), (0.25, 0xc0_0000_0000_0000), (0.0, ALL)]
        {
            assert_eq!(of_probability(probability, 4), threshold);
            assert_eq!(super::probability(threshold), probability);
        }
        // A third: 0xaaaaaaaaaaaaab, in four and in two digits.
        assert_eq!(of_probability(1.0 / 3.0, 4), 0xaa_ab00_0000_0000);
        assert_eq!(of_probability(1.0 / 3.0, 2), 0xab_0000_0000_0000);
        // Of 0.1 % two digits are `f`, which do not count.
        assert_eq!(of_probability(0.001, 4), 0xff_be77_0000_0000);
        assert!(of_probability(1e-20, 1) < ALL);
    }

    #[test]
    fn buckets_are_cut_not_rounded() {
        assert_eq!(of_buckets(100.0), 0);
        assert_eq!(of_buckets(0.001), ALL);
        assert_eq!(of_buckets(50.0), ALL / 2);
        // 15.3 % of 16384 is 2506.7.
        assert_eq!(of_buckets(15.3), u64::from(BUCKETS - 2_506) << 42);
    }
}
