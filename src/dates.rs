//! Dates: of the calendar, and as HTTP and protobuf's JSON write them.

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that start in March,
/// so that a leap day comes last. Dates before 1970 give 0.
pub(crate) fn days_from_date(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    days.saturating_sub(719_469)
}

/// The date of the Gregorian calendar so many days after 1970-01-01: year, month, day.
pub(crate) fn date_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Milliseconds since the Unix epoch as RFC 3339 in UTC; a time before it counts as the epoch.
pub(crate) fn to_rfc3339(milliseconds: i64) -> String {
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    let (seconds, fraction) = (milliseconds / 1_000, milliseconds % 1_000);
    let (year, month, day) = date_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Reads `2026-11-20T23:06:50.061Z` as milliseconds since the Unix epoch.
pub(crate) fn from_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if year > 9_999 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let seconds = ((days_from_date(year, month, day) * 24 + hour) * 60 + minute) * 60 + second.min(60);
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    i64::try_from(seconds * 1_000 + thousandths).ok()
}

/// Milliseconds as a protobuf duration, such as `0.061s`.
pub(crate) fn to_duration(milliseconds: i64) -> String {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let milliseconds = milliseconds.unsigned_abs();
    format!("{sign}{}.{:03}s", milliseconds / 1_000, milliseconds % 1_000)
}

/// Reads a protobuf duration as milliseconds.
pub(crate) fn from_duration(text: &str) -> Option<i64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    // Far below 2^53 for every duration that a trace can have.
    seconds.is_finite().then(|| (seconds * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_protobuf_does_and_read_back() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (18_446_744_073_709, "2554-07-21T23:34:33.709Z"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(to_rfc3339(milliseconds), text);
            assert_eq!(from_rfc3339(text), Some(milliseconds));
        }
        assert_eq!(to_rfc3339(-1), to_rfc3339(0));
        assert_eq!(from_rfc3339("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(from_rfc3339("2023-11-14T22:13:20.5Z"), Some(1_700_000_000_500));
        for bad in
            ["", "2023-11-14", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20+01:00", "xxxx-11-14T22:13:20Z"]
        {
            assert_eq!(from_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_written_as_protobuf_does_and_read_back() {
        for (milliseconds, text) in [(0, "0.000s"), (61, "0.061s"), (90_500, "90.500s"), (-5, "-0.005s")] {
            assert_eq!(to_duration(milliseconds), text);
            assert_eq!(from_duration(text), Some(milliseconds));
        }
        assert_eq!(from_duration("2s"), Some(2_000));
        assert_eq!(from_duration("2"), None);
    }
}
