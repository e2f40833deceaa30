//! MLflow's own environment variables and credentials file, as defaults of the configuration.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{RestError, RestOptions};

/// Fills what the configuration leaves open from MLflow's environment variables.
///
/// `lookup` gives the value of a variable; an empty value counts as none. Where the configuration
/// has a token, a token file or a user name with a password, the environment's credentials are not
/// looked at. As in MLflow's client, user name and password win over a token of the environment.
///
/// # Errors
///
/// If the environment asks for an authentication that is not supported, or has a value that cannot
/// be read.
pub fn fill_from_environment(
    options: &mut RestOptions,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<(), RestError> {
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    refuse_unsupported(&variable)?;
    fill_auth(options, &variable);
    let tls = &mut options.tls;
    let path = |name: &str| variable(name).map(PathBuf::from);
    tls.ca_file = tls.ca_file.take().or_else(|| path("MLFLOW_TRACKING_SERVER_CERT_PATH"));
    tls.cert_file = tls.cert_file.take().or_else(|| path("MLFLOW_TRACKING_CLIENT_CERT_PATH"));
    if tls.insecure_skip_verify.is_none() {
        tls.insecure_skip_verify = boolean("MLFLOW_TRACKING_INSECURE_TLS", &variable)?;
    }
    options.workspace = options.workspace.take().or_else(|| variable("MLFLOW_WORKSPACE"));
    Ok(())
}

fn fill_auth(options: &mut RestOptions, variable: &impl Fn(&str) -> Option<String>) {
    let auth = &mut options.auth;
    if auth.token.is_some() || auth.token_file.is_some() {
        return;
    }
    let stored = credentials_file(variable);
    let username = auth.username.clone().or_else(|| variable("MLFLOW_TRACKING_USERNAME")).or(stored.username);
    let password = auth
        .password
        .clone()
        .or_else(|| variable("MLFLOW_TRACKING_PASSWORD").map(SecretString::from))
        .or(stored.password);
    if username.is_some() && password.is_some() {
        (auth.username, auth.password) = (username, password);
    } else if auth.username.is_none() && auth.password.is_none() {
        auth.token = variable("MLFLOW_TRACKING_TOKEN").map(SecretString::from);
    }
}

fn refuse_unsupported(variable: &impl Fn(&str) -> Option<String>) -> Result<(), RestError> {
    if boolean("MLFLOW_TRACKING_AWS_SIGV4", variable)? == Some(true) {
        return Err(RestError::configuration(
            "MLFLOW_TRACKING_AWS_SIGV4 is set, but requests are not signed for AWS: unset it, and go through a \
             proxy that signs, such as aws-sigv4-proxy",
        ));
    }
    match variable("MLFLOW_TRACKING_AUTH") {
        Some(plugin) => Err(RestError::configuration(format!(
            "MLFLOW_TRACKING_AUTH names `{plugin}`, a plugin of MLflow's Python client: unset it, and give \
             `auth.token_file` (in Kubernetes /var/run/secrets/kubernetes.io/serviceaccount/token)"
        ))),
        None => Ok(()),
    }
}

/// Reads a variable as MLflow does: `true` or `1`, `false` or `0`, in any case.
fn boolean(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<bool>, RestError> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(RestError::configuration(format!("{name} is `{text}`: write true, false, 1 or 0"))),
    }
}

#[derive(Default)]
struct StoredCredentials {
    username: Option<String>,
    password: Option<SecretString>,
}

/// Reads `~/.mlflow/credentials`: an INI file with a section `[mlflow]`.
fn credentials_file(variable: &impl Fn(&str) -> Option<String>) -> StoredCredentials {
    let Some(home) = variable("HOME").or_else(|| variable("USERPROFILE")) else {
        return StoredCredentials::default();
    };
    let path = PathBuf::from(home).join(".mlflow").join("credentials");
    std::fs::read_to_string(path).map(|text| parse_credentials(&text)).unwrap_or_default()
}

fn parse_credentials(text: &str) -> StoredCredentials {
    let mut found = StoredCredentials::default();
    let mut in_section = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_section = section == "mlflow";
        } else if let Some((key, value)) = line.split_once(['=', ':']).filter(|_| in_section) {
            let value = value.trim().to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "mlflow_tracking_username" => found.username = Some(value),
                "mlflow_tracking_password" => found.password = Some(value.into()),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn filled(mut options: RestOptions, variables: &[(&str, &str)]) -> Result<RestOptions, RestError> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        fill_from_environment(&mut options, lookup)?;
        Ok(options)
    }

    fn exposed(secret: &Option<SecretString>) -> Option<&str> {
        secret.as_ref().map(ExposeSecret::expose_secret)
    }

    const USER: (&str, &str) = ("MLFLOW_TRACKING_USERNAME", "env-user");
    const PASSWORD: (&str, &str) = ("MLFLOW_TRACKING_PASSWORD", "env-password");
    const TOKEN: (&str, &str) = ("MLFLOW_TRACKING_TOKEN", "env-token");

    #[test]
    fn user_and_password_win_over_a_token_of_the_environment() {
        let options = filled(RestOptions::default(), &[USER, PASSWORD, TOKEN]).unwrap();
        assert_eq!(options.auth.username.as_deref(), Some("env-user"));
        assert_eq!(exposed(&options.auth.password), Some("env-password"));
        assert_eq!(exposed(&options.auth.token), None);
        let options = filled(RestOptions::default(), &[USER, TOKEN]).unwrap();
        assert_eq!(options.auth.username, None);
        assert_eq!(exposed(&options.auth.token), Some("env-token"));
    }

    #[test]
    fn a_configured_token_wins_over_everything() {
        let mut options = RestOptions::default();
        options.auth.token = Some("mine".into());
        let options = filled(options, &[USER, PASSWORD, TOKEN]).unwrap();
        assert_eq!(exposed(&options.auth.token), Some("mine"));
        assert_eq!(options.auth.username, None);
    }

    #[test]
    fn a_configured_name_takes_the_password_of_the_environment() {
        let mut options = RestOptions::default();
        options.auth.username = Some("mine".into());
        let options = filled(options, &[USER, PASSWORD]).unwrap();
        assert_eq!(options.auth.username.as_deref(), Some("mine"));
        assert_eq!(exposed(&options.auth.password), Some("env-password"));
    }

    #[test]
    fn the_credentials_file_fills_what_the_environment_leaves_open() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".mlflow")).unwrap();
        let text = "[other]\nmlflow_tracking_username = no\n[mlflow]\nmlflow_tracking_username = file-user\n\
                    mlflow_tracking_password = a=b\n";
        std::fs::write(home.path().join(".mlflow/credentials"), text).unwrap();
        let home = ("HOME", home.path().to_str().unwrap());
        let options = filled(RestOptions::default(), &[home, USER]).unwrap();
        assert_eq!(options.auth.username.as_deref(), Some("env-user"));
        assert_eq!(exposed(&options.auth.password), Some("a=b"));
    }

    #[test]
    fn tls_and_workspace_have_defaults_in_the_environment() {
        let variables = [
            ("MLFLOW_TRACKING_INSECURE_TLS", "TRUE"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/ca.pem"),
            ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "/client.pem"),
            ("MLFLOW_WORKSPACE", "team"),
        ];
        let mut options = RestOptions::default();
        options.tls.ca_file = Some("/mine.pem".into());
        let options = filled(options, &variables).unwrap();
        assert_eq!(options.tls.insecure_skip_verify, Some(true));
        assert_eq!(options.tls.ca_file, Some("/mine.pem".into()));
        assert_eq!(options.tls.cert_file, Some("/client.pem".into()));
        assert_eq!(options.workspace.as_deref(), Some("team"));
    }

    #[test]
    fn what_is_not_supported_is_said_at_once() {
        for variable in [("MLFLOW_TRACKING_AWS_SIGV4", "true"), ("MLFLOW_TRACKING_AUTH", "kubernetes")] {
            let error = filled(RestOptions::default(), &[variable]).unwrap_err().to_string();
            assert!(error.contains(variable.0), "{error}");
        }
        assert!(filled(RestOptions::default(), &[("MLFLOW_TRACKING_INSECURE_TLS", "maybe")]).is_err());
    }
}
