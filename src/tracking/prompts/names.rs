//! Names, aliases and addresses of prompts.

use super::is_reserved;
use crate::mlflow::entities::Tag;
use crate::tracking::TrackingError;

/// Which version of a prompt is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptUri<'a> {
    Version { name: &'a str, version: &'a str },
    Alias { name: &'a str, alias: &'a str },
    Latest { name: &'a str },
}

impl<'a> PromptUri<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TrackingError> {
        let Some(rest) = text.strip_prefix("prompts:/") else {
            check(text)?;
            return Ok(Self::Latest { name: text });
        };
        let rest = rest.trim_start_matches('/');
        if let Some((name, alias)) = rest.split_once('@') {
            check(name)?;
            return Ok(match alias {
                "latest" => Self::Latest { name },
                _ => Self::Alias { name, alias },
            });
        }
        match rest.split_once('/') {
            Some((name, version))
                if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                check(name)?;
                Ok(Self::Version { name, version })
            }
            _ => Err(TrackingError::invalid(format!(
                "{text:?} is no address of a prompt: write prompts:/name/3, prompts:/name@alias or prompts:/name@latest"
            ))),
        }
    }
}

/// MLflow's rule for the names of prompts.
pub(super) fn check(name: &str) -> Result<(), TrackingError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(TrackingError::invalid(format!(
        "{name:?} cannot be the name of a prompt: use letters of ASCII, digits, `_`, `-` and `.`"
    )))
}

/// MLflow's rule for aliases.
pub(super) fn check_alias(alias: &str) -> Result<(), TrackingError> {
    let allowed = |character: char| character.is_alphanumeric() || "_-".contains(character);
    let is_version = alias
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let fits = !alias.is_empty() && alias.chars().count() <= 255 && alias.chars().all(allowed);
    if fits && !is_version && !alias.eq_ignore_ascii_case("latest") {
        return Ok(());
    }
    Err(TrackingError::invalid(format!(
        "{alias:?} cannot be an alias: use letters, digits, `_` and `-`, and neither `latest` nor `v` with a number"
    )))
}

/// Refuses the tags that MLflow keeps a prompt in.
pub(super) fn check_tag(tag: &Tag) -> Result<(), TrackingError> {
    if is_reserved(&tag.key) {
        return Err(TrackingError::invalid(format!(
            "the tag {:?} is MLflow's own: a prompt is changed by registering a new version",
            tag.key
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_version_an_alias_or_the_latest() {
        let name = "a.b-c_1";
        for (text, expected) in [
            ("prompts:/a.b-c_1/3", PromptUri::Version { name, version: "3" }),
            ("prompts:///a.b-c_1/3", PromptUri::Version { name, version: "3" }),
            ("prompts:/a.b-c_1@champion", PromptUri::Alias { name, alias: "champion" }),
            ("prompts:/a.b-c_1@latest", PromptUri::Latest { name }),
            ("a.b-c_1", PromptUri::Latest { name }),
        ] {
            assert_eq!(PromptUri::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["prompts:/a", "prompts:/a/", "prompts:/a/x", "prompts:/ä/1", "", "a b", "models:/a/1"] {
            assert!(matches!(PromptUri::parse(text), Err(TrackingError::Invalid { .. })), "{text}");
        }
    }

    #[test]
    fn aliases_are_checked_as_mlflow_does() {
        for alias in ["champion", "v2-beta", "日本", "x_1"] {
            assert!(check_alias(alias).is_ok(), "{alias}");
        }
        for alias in ["", "latest", "Latest", "v3", "V10", "a b", "a.b"] {
            assert!(check_alias(alias).is_err(), "{alias}");
        }
    }
}
