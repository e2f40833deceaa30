//! Which addresses other machines can reach.

use std::net::IpAddr;

/// Whether other machines can reach who listens at `host:port`. Names other than `localhost` count as such: what
/// they mean may change after the check.
///
/// ```
/// use opentelemetry_mlflow::receivers::trust::is_reachable;
///
/// assert!(!is_reachable("127.0.0.1:4317"));
/// assert!(is_reachable("0.0.0.0:4317"));
/// ```
pub fn is_reachable(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => !address.to_canonical().is_loopback(),
        Err(_) => !host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_out_of_reach() {
        for endpoint in ["127.0.0.1:1", "127.3.2.1:1", "localhost:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!is_reachable(endpoint), "{endpoint}");
        }
        for endpoint in [":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "gateway:1", "[::ffff:10.0.0.1]:1"] {
            assert!(is_reachable(endpoint), "{endpoint}");
        }
    }
}
