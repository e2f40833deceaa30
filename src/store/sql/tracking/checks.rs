//! MLflow's rules for names and lengths (`mlflow/utils/validation.py` of 3.17.2), as far as its server
//! alone keeps them: whoever writes beside it has to check them, too. What every store checks is in
//! [`crate::store::tracking::limits`].

use crate::mlflow::entities::Tag;
use crate::store::tracking::TrackingError;
use crate::store::tracking::limits::{check_key, is_plain_path};

const EXPERIMENT_NAME: usize = 500;
const EXPERIMENT_TAG_VALUE: usize = 20_000;
const REGISTRY_TAG_VALUE: usize = 100_000;
const ALIAS: usize = 255;

type Check<T = ()> = Result<T, TrackingError>;

/// Refuses a text of more characters.
pub(super) fn at_most(what: &str, text: &str, limit: usize) -> Check {
    let length = text.chars().count();
    if length <= limit {
        return Ok(());
    }
    Err(TrackingError::invalid(format!("{what} has {length} characters; MLflow allows {limit}")))
}

/// The name of an experiment.
pub(super) fn experiment_name(name: &str) -> Check {
    if name.is_empty() {
        return Err(TrackingError::invalid("an experiment needs a name"));
    }
    at_most("the name of an experiment", name, EXPERIMENT_NAME)
}

/// A tag of an experiment.
pub(super) fn experiment_tag(tag: &Tag) -> Check {
    check_key("tag", &tag.key)?;
    at_most("the value of an experiment's tag", &tag.value, EXPERIMENT_TAG_VALUE)
}

/// A name in the registry.
pub(super) fn registered_name(name: &str) -> Check {
    if name.trim().is_empty() || name.contains(['/', ':']) || !is_plain_path(name) {
        return Err(TrackingError::invalid(format!(
            "{name:?} is no name for a registered model: it must not be empty or hold '/' or ':'"
        )));
    }
    Ok(())
}

/// A tag of a registered model or of a version.
pub(super) fn registry_tag(tag: &Tag) -> Check {
    check_key("tag", &tag.key)?;
    at_most("the value of a tag in the registry", &tag.value, REGISTRY_TAG_VALUE)
}

/// The number of a version.
pub(super) fn version(version: &str) -> Check<i64> {
    version
        .trim()
        .parse()
        .map_err(|_| TrackingError::invalid(format!("{version:?} is not the number of a version")))
}

/// An alias in the registry.
pub(super) fn alias(alias: &str) -> Check {
    let allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    if alias.is_empty() || !alias.chars().all(allowed) {
        return Err(TrackingError::invalid(format!(
            "{alias:?} is no alias: it needs letters, digits, _ and - only"
        )));
    }
    at_most("an alias", alias, ALIAS)
}

/// An alias that somebody sets: some names mean versions already.
pub(super) fn new_alias(name: &str) -> Check {
    alias(name)?;
    let number = name.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_version = !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit());
    if is_version || name.eq_ignore_ascii_case("latest") {
        return Err(TrackingError::invalid(format!("the alias {name:?} is reserved by MLflow")));
    }
    Ok(())
}

/// The name of a logged model.
pub(super) fn logged_model_name(name: &str) -> Check {
    if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(TrackingError::invalid(format!(
            "{name:?} is no name for a model: it must not be empty or hold any of / : . % \" '"
        )));
    }
    Ok(())
}

/// The id of an experiment: a number that fits in MLflow's column.
pub(super) fn experiment_id(id: &str) -> Check<i64> {
    id.trim().parse::<i32>().map(i64::from).map_err(|_| {
        TrackingError::invalid(format!("{id:?} is not the id of an experiment; it must be a number"))
    })
}

/// The id of a run that the caller chose.
pub(super) fn run_id(id: &str) -> Check {
    if id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(TrackingError::invalid(format!("{id:?} is not the id of a run: 32 lower-case hex digits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_registry_are_no_paths() {
        for bad in ["", " ", "a/b", "a:b", ".", "..a"] {
            assert!(registered_name(bad).is_err(), "{bad:?}");
        }
        assert!(registered_name("größe 1").is_ok());
    }

    #[test]
    fn aliases_do_not_hide_versions() {
        for bad in ["latest", "LATEST", "v1", "V22", "", "a b"] {
            assert!(new_alias(bad).is_err(), "{bad}");
        }
        for good in ["champion", "v", "v1a", "a-b_c"] {
            assert!(new_alias(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn ids_are_numbers_and_hex() {
        assert_eq!(experiment_id("7").unwrap(), 7);
        assert!(experiment_id("4000000000").is_err());
        assert!(experiment_id("x").is_err());
        assert!(run_id(&"0a".repeat(16)).is_ok());
        assert!(run_id(&"0A".repeat(16)).is_err());
        assert!(run_id("r1").is_err());
    }
}
