//! The tags that MLflow's own client gives every run: who runs what, from which commit.

use std::fs;
use std::path::{Path, PathBuf};

use super::git;

/// Tag: who runs it.
pub(super) const USER: &str = "mlflow.user";
const SOURCE_NAME: &str = "mlflow.source.name";
const SOURCE_TYPE: &str = "mlflow.source.type";
const GIT_COMMIT: &str = "mlflow.source.git.commit";
const GIT_BRANCH: &str = "mlflow.source.git.branch";
const GIT_REPO_URL: &str = "mlflow.source.git.repoURL";
/// Environment variable: more tags, as a JSON object.
const RUN_CONTEXT: &str = "MLFLOW_RUN_CONTEXT";

/// The tags of this process, the general ones first.
pub(super) fn tags() -> Vec<(String, String)> {
    let mut tags = vec![
        (USER.to_owned(), user(&|name| std::env::var(name).ok())),
        (SOURCE_NAME.to_owned(), source_name()),
        (SOURCE_TYPE.to_owned(), "LOCAL".to_owned()),
    ];
    if let Some(head) = repository().and_then(|repository| git::head(&repository)) {
        tags.push((GIT_COMMIT.to_owned(), head.commit));
        tags.extend(head.branch.map(|branch| (GIT_BRANCH.to_owned(), branch)));
        tags.extend(head.remote.map(|remote| (GIT_REPO_URL.to_owned(), remote)));
    }
    if let Ok(text) = std::env::var(RUN_CONTEXT) {
        tags.extend(from_json(&text));
    }
    tags
}

/// The user of the tracking server, else of the machine, found as Python finds it.
fn user(variable: &dyn Fn(&str) -> Option<String>) -> String {
    ["MLFLOW_TRACKING_USERNAME", "LOGNAME", "USER", "LNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .or_else(user_of_process)
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(unix)]
fn user_of_process() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let id = fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = |line: &str| {
        let mut fields = line.split(':');
        (fields.next().map(str::to_owned), fields.nth(1).map(str::to_owned))
    };
    users.lines().map(fields).find(|(_, user)| user.as_ref() == Some(&id))?.0
}

#[cfg(not(unix))]
fn user_of_process() -> Option<String> {
    None
}

fn source_name() -> String {
    std::env::args_os()
        .next()
        .map_or_else(|| "<console>".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The repository of the program, as long as it lies where it was built; else that of the working
/// directory.
fn repository() -> Option<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).and_then(git::find);
    beside.or_else(|| git::find(&std::env::current_dir().ok()?))
}

fn from_json(text: &str) -> Vec<(String, String)> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(map) => map
            .into_iter()
            .map(|(key, value)| match value {
                serde_json::Value::String(text) => (key, text),
                other => (key, other.to_string()),
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "{RUN_CONTEXT} is no JSON object: its tags are left out");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_server_comes_before_that_of_the_machine() {
        let both = |name: &str| match name {
            "MLFLOW_TRACKING_USERNAME" => Some("server".to_owned()),
            "USER" => Some("machine".to_owned()),
            _ => None,
        };
        assert_eq!(user(&both), "server");
        assert_eq!(user(&|name| (name == "USER").then(|| "machine".to_owned())), "machine");
        assert!(!user(&|_| None).is_empty());
    }

    #[test]
    fn tags_from_the_environment_are_text() {
        let expected = [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "1".to_owned())];
        assert_eq!(from_json(r#"{"a": "x", "b": 1}"#), expected);
        assert_eq!(from_json("[]"), []);
    }

    #[test]
    fn a_run_says_who_ran_what() {
        let tags = tags();
        let names: Vec<_> = tags.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names[..3], [USER, SOURCE_NAME, SOURCE_TYPE]);
    }
}
