//! Artifact locations: URIs whose path is extended, as MLflow's `append_to_uri_path` does.

/// Appends a relative path to the path of a URI; query and fragment stay at the end.
pub(super) fn append_to_uri_path(uri: &str, path: &str) -> String {
    // Without a scheme it is a plain path, in which `?` and `#` mean nothing.
    let (before, after) = if has_scheme(uri) { split_at_query(uri) } else { (uri, "") };
    let joint = if before.is_empty() || before.ends_with('/') { "" } else { "/" };
    format!("{before}{joint}{path}{after}")
}

/// The artifact location of a new experiment: beside that of experiment 0.
pub(super) fn beside(location_of_default: Option<&str>, experiment_id: i64) -> String {
    let location = location_of_default.unwrap_or(super::DEFAULT_ARTIFACT_LOCATION);
    let (before, after) = if has_scheme(location) { split_at_query(location) } else { (location, "") };
    let root = before.strip_suffix("/0").unwrap_or(before);
    format!("{root}/{experiment_id}{after}")
}

fn split_at_query(uri: &str) -> (&str, &str) {
    uri.split_at(uri.find(['?', '#']).unwrap_or(uri.len()))
}

pub(super) fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_as_mlflow_does() {
        for (uri, expected) in [
            ("mlflow-artifacts:/0", "mlflow-artifacts:/0/t"),
            ("mlflow-artifacts:/", "mlflow-artifacts:/t"),
            ("s3://bucket/base?x=1", "s3://bucket/base/t?x=1"),
            ("s3://bucket", "s3://bucket/t"),
            ("s3://bucket/a/#part", "s3://bucket/a/t#part"),
            ("/srv/mlruns/0/", "/srv/mlruns/0/t"),
            ("/srv/odd?name", "/srv/odd?name/t"),
            ("file:relative", "file:relative/t"),
        ] {
            assert_eq!(append_to_uri_path(uri, "t"), expected);
        }
    }

    #[test]
    fn a_new_experiment_lives_beside_the_default_one() {
        for (default, expected) in [
            (Some("mlflow-artifacts:/0"), "mlflow-artifacts:/7"),
            (Some("s3://bucket/base/0?x=1"), "s3://bucket/base/7?x=1"),
            (Some("/srv/mlruns/0"), "/srv/mlruns/7"),
            (Some("/srv/custom"), "/srv/custom/7"),
            (None, "mlflow-artifacts:/7"),
        ] {
            assert_eq!(beside(default, 7), expected);
        }
    }
}
