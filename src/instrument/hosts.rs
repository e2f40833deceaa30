//! Lists of hosts.

/// Hosts by name, or by a pattern such as `*.models.internal`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    pub(crate) fn new<H: Into<String>>(hosts: impl IntoIterator<Item = H>) -> Self {
        Self(hosts.into_iter().map(|host| host.into().to_ascii_lowercase()).collect())
    }

    /// Whether the host is on the list.
    #[cfg_attr(not(feature = "async-openai"), expect(dead_code, reason = "only a client calls hosts"))]
    pub(crate) fn contain(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == *pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_first_part() {
        let hosts = Hosts::new(["LocalHost", "*.internal"]);
        assert!(hosts.contain("localhost") && hosts.contain("A.internal"));
        assert!(
            !hosts.contain(".internal") && !hosts.contain("internal") && !hosts.contain("evil.internal.com")
        );
        assert!(Hosts::new(["*"]).contain("anything") && !Hosts::default().contain("anything"));
    }
}
