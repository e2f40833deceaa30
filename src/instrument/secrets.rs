//! Keys that the process is known to use, so that nothing records them: what a tool is given, or what
//! an error says, may hold the key of a client elsewhere.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Variables that clients read their keys from.
const VARIABLES: &[&str] = &["OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY"];

/// More keys than any process has; those of a service that is given one with every request are not
/// remembered without end.
#[cfg(feature = "async-openai")]
const MAX_KNOWN: usize = 64;

static KNOWN: LazyLock<RwLock<Arc<[String]>>> = LazyLock::new(|| {
    let known = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    RwLock::new(known.filter(|key| !key.is_empty()).collect())
});

/// The keys that are known so far.
pub(super) fn known() -> Arc<[String]> {
    Arc::clone(&KNOWN.read().unwrap_or_else(PoisonError::into_inner))
}

/// Remembers the keys that a client sends.
#[cfg(feature = "async-openai")]
pub(super) fn remember(keys: &[String]) {
    let known = known();
    if known.len() >= MAX_KNOWN || keys.iter().all(|key| known.contains(key)) {
        return;
    }
    let mut guard = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = guard.to_vec();
    all.extend(keys.iter().filter(|key| !guard.contains(key)).cloned());
    all.truncate(MAX_KNOWN);
    *guard = all.into();
}

#[cfg(all(test, feature = "async-openai"))]
mod tests {
    use super::*;

    #[test]
    fn keys_of_clients_are_remembered_once_and_not_without_end() {
        let key = "sk-of-this-test".to_owned();
        remember(std::slice::from_ref(&key));
        remember(std::slice::from_ref(&key));
        assert_eq!(known().iter().filter(|known| **known == key).count(), 1);
        (0..2 * MAX_KNOWN).for_each(|number| remember(&[format!("sk-{number}")]));
        assert_eq!(known().len(), MAX_KNOWN);
        assert!(known().contains(&key));
    }
}
