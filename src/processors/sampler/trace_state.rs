//! What a W3C `tracestate` says about sampling: `ot=th:8;rv:9b8233f7e3a151`.

use super::threshold::{ALL, Threshold};

/// The longest value that OpenTelemetry allows for its member of a `tracestate`.
const LONGEST: usize = 256;

/// What is written down about a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sampling {
    /// What its random bits had to reach.
    pub(super) threshold: Option<Threshold>,
    /// Its random bits, where they are not those of its trace id.
    pub(super) randomness: Option<u64>,
}

/// Reads the member of OpenTelemetry; what cannot be read is as if it were not there.
pub(super) fn read(trace_state: &str) -> Sampling {
    let mut found = Sampling::default();
    let member = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    for field in member.into_iter().flat_map(|member| member.split(';')) {
        match field.split_once(':') {
            Some(("th", digits)) => found.threshold = threshold(digits),
            Some(("rv", digits)) if digits.len() == 14 => found.randomness = hex(digits),
            _ => {}
        }
    }
    found
}

/// Trailing zeros are left out.
fn threshold(digits: &str) -> Option<Threshold> {
    let missing = 14_usize.checked_sub(digits.len())?;
    hex(digits).map(|number| number << (4 * missing)).filter(|threshold| *threshold < ALL)
}

fn hex(digits: &str) -> Option<u64> {
    let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Puts the member of OpenTelemetry first, as the specification asks of who changes it.
pub(super) fn write(trace_state: &mut String, sampling: Sampling) {
    let members = trace_state.split(',').map(str::trim).filter(|member| !member.is_empty());
    let (own, others): (Vec<_>, Vec<_>) = members.partition(|member| member.starts_with("ot="));
    let old = own.first().and_then(|own| own.strip_prefix("ot=")).unwrap_or_default();
    let mut fields = Vec::new();
    if let Some(threshold) = sampling.threshold {
        let digits = format!("{threshold:014x}");
        let digits = digits.trim_end_matches('0');
        fields.push(format!("th:{}", if digits.is_empty() { "0" } else { digits }));
    }
    fields.extend(sampling.randomness.map(|randomness| format!("rv:{randomness:014x}")));
    let is_other = |field: &&str| !field.is_empty() && !field.starts_with("th:") && !field.starts_with("rv:");
    fields.extend(old.split(';').filter(is_other).map(str::to_owned));
    let member = format!("ot={}", fields.join(";"));
    if member.len() > LONGEST || fields.is_empty() {
        return;
    }
    *trace_state = std::iter::once(member.as_str()).chain(others).collect::<Vec<_>>().join(",");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let read = read("vendor=1, ot=th:c;rv:9b8233f7e3a151;x:1");
        assert_eq!(read.threshold, Some(0xc0_0000_0000_0000));
        assert_eq!(read.randomness, Some(0x9b_8233_f7e3_a151));
        for text in ["", "ot=", "ot=th:;rv:1", "ot=th:g", "ot=th:123456789012345", "to=th:c"] {
            assert_eq!(super::read(text), Sampling::default(), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let mut state = "vendor=1,ot=th:0;x:1,w=2".to_owned();
        write(&mut state, Sampling { threshold: Some(0x80_0000_0000_0000), randomness: None });
        assert_eq!(state, "ot=th:8;x:1,vendor=1,w=2");
        write(&mut state, Sampling { threshold: Some(0), randomness: Some(5) });
        assert_eq!(state, "ot=th:0;rv:00000000000005;x:1,vendor=1,w=2");
    }
}
