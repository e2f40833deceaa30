//! What another side says of the time to wait before a request is sent again.
//!
//! It is a wish, and comes from outside: whatever it says, nobody waits longer than [`LONGEST`] for it.

use std::time::{Duration, SystemTime};

use crate::dates::days_from_date;

/// The longest wait that another side can ask for.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);

/// Reads `Retry-After`: seconds, or the date of RFC 9110 section 5.6.7 (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match http_date(text) {
        Some(date) => date.duration_since(now).unwrap_or(Duration::ZERO),
        None if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        // More digits than a number can have are a long time, too.
        None => text.parse().map_or(LONGEST, Duration::from_secs),
    };
    Some(wait.min(LONGEST))
}

/// Reads the seconds and nanoseconds of a `google.protobuf.Duration`.
pub(crate) fn retry_delay(seconds: i64, nanos: i32) -> Option<Duration> {
    let (seconds, nanos) = (u64::try_from(seconds).ok()?, u64::try_from(nanos).ok()?);
    let wait = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos));
    Some(wait.min(LONGEST))
}

fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split([' ', ':']);
    let day: u64 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == month_name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let hour: u64 = words.next()?.parse().ok()?;
    let minute: u64 = words.next()?.parse().ok()?;
    let second: u64 = words.next()?.parse().ok()?;
    if day > 31 || hour > 23 || minute > 59 || second > 60 || words.next() != Some("GMT") {
        return None;
    }
    let seconds = ((days_from_date(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 10);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let ten = Some(Duration::from_secs(10));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), ten);
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now), Some(Duration::ZERO));
        let leap = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
        assert_eq!(retry_after("Tue, 29 Feb 2000 00:00:10 GMT", leap), ten);
        for bad in ["soon", "-1", "Sun, 06 Nov 1994 08:49:37 PST", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_an_hour_for_another_side() {
        let now = SystemTime::UNIX_EPOCH;
        let endless =
            ["31536000", "18446744073709551615", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"];
        for text in endless {
            assert_eq!(retry_after(text, now), Some(LONGEST), "{text}");
        }
        assert_eq!(retry_delay(i64::MAX, i32::MAX), Some(LONGEST));
        assert_eq!(retry_delay(1, 500_000_000), Some(Duration::from_millis(1_500)));
        assert_eq!(retry_delay(-1, 0), None);
        assert_eq!(retry_after("", now), None);
    }
}
