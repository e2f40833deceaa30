//! Databricks as a tracking server: whose host and credentials come from its own environment
//! variables, or a profile of `~/.databrickscfg`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::{AuthConfig, ClientCredentials, RestError, RestOptions, fill_from_environment};

/// The section of the file that is read when no profile is named.
const DEFAULT_PROFILE: &str = "DEFAULT";

/// What the environment or a profile says.
#[derive(Default)]
struct Found {
    host: Option<String>,
    token: Option<SecretString>,
    client_id: Option<String>,
    client_secret: Option<SecretString>,
}

impl Found {
    fn from(value: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            host: value("host"),
            token: value("token").map(Into::into),
            client_id: value("client_id"),
            client_secret: value("client_secret").map(Into::into),
        }
    }

    fn has_credentials(&self) -> bool {
        self.token.is_some() || (self.client_id.is_some() && self.client_secret.is_some())
    }

    fn or(self, other: Self) -> Self {
        // Credentials are taken together: half of one pair does not belong to half of another.
        let mine = self.has_credentials();
        let (token, client_id, client_secret) = if mine {
            (self.token, self.client_id, self.client_secret)
        } else {
            (other.token, other.client_id, other.client_secret)
        };
        Self { host: self.host.or(other.host), token, client_id, client_secret }
    }
}

/// The address of a Databricks workspace, and the options with its credentials.
///
/// A named `profile` is read from the file alone. Without one, `DATABRICKS_HOST` with
/// `DATABRICKS_TOKEN`, or `DATABRICKS_CLIENT_ID` and `DATABRICKS_CLIENT_SECRET`, come first, and the
/// profile `DATABRICKS_CONFIG_PROFILE`, else `DEFAULT`, fills what they leave open. The file is
/// `DATABRICKS_CONFIG_FILE`, else `~/.databrickscfg`. A token wins over a client's id and secret, as
/// in Databricks' own SDK. `lookup` gives the value of a variable.
///
/// # Errors
///
/// [`RestError::Configuration`] if host or credentials are missing, the profile does not exist, or
/// the token would be sent without TLS.
pub fn databricks(
    profile: Option<&str>,
    mut options: RestOptions,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, RestOptions), RestError> {
    let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let found = match profile {
        Some(profile) => read_profile(profile, &variable)?.ok_or_else(|| no_profile(profile, &variable))?,
        None => without_name(&variable)?,
    };
    let host = host(found.host.as_deref().unwrap_or_default())?;
    fill_from_environment(&mut options, variable)?;
    options.auth = AuthConfig { token: found.token, ..AuthConfig::default() };
    if options.auth.token.is_none() {
        let (Some(client_id), Some(client_secret)) = (found.client_id, found.client_secret) else {
            return Err(RestError::configuration(
                "no credentials for Databricks: set DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and \
                 DATABRICKS_CLIENT_SECRET, or write `token` into the profile of ~/.databrickscfg",
            ));
        };
        let token_url = format!("{host}/oidc/v1/token");
        options.client_credentials = Some(ClientCredentials { token_url, client_id, client_secret });
    }
    Ok((host, options))
}

fn without_name(variable: &impl Fn(&str) -> Option<String>) -> Result<Found, RestError> {
    let named = variable("DATABRICKS_CONFIG_PROFILE");
    let of_environment = Found::from(|key| variable(&format!("DATABRICKS_{}", key.to_ascii_uppercase())));
    if of_environment.host.is_some() && of_environment.has_credentials() {
        return Ok(of_environment);
    }
    let of_file = match &named {
        Some(profile) => read_profile(profile, variable)?.ok_or_else(|| no_profile(profile, variable))?,
        None => read_profile(DEFAULT_PROFILE, variable)?.unwrap_or_default(),
    };
    Ok(of_environment.or(of_file))
}

fn file(variable: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = variable("DATABRICKS_CONFIG_FILE") {
        return Some(PathBuf::from(path));
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
    Some(PathBuf::from(home).join(".databrickscfg"))
}

fn no_profile(profile: &str, variable: &impl Fn(&str) -> Option<String>) -> RestError {
    let path = file(variable).unwrap_or_default();
    RestError::configuration(format!(
        "{} has no profile [{profile}]: run `databricks configure --profile {profile}`, or name another",
        path.display()
    ))
}

fn read_profile(
    profile: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Found>, RestError> {
    let Some(path) = file(variable) else {
        return Ok(None);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(RestError::configuration(format!("cannot read {}: {error}", path.display())));
        }
    };
    Ok(section(&text, profile).map(|values| Found::from(|key| values.get(key).cloned())))
}

/// A section of an INI file.
fn section(text: &str, wanted: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == wanted;
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            let value = value.trim().to_owned();
            if !value.is_empty() {
                found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value);
            }
        }
    }
    found
}

/// Scheme and host alone, as users copy the address out of the browser.
fn host(text: &str) -> Result<String, RestError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(RestError::configuration(
            "no Databricks workspace is given: set DATABRICKS_HOST, or write `host` into the profile of \
             ~/.databrickscfg",
        ));
    }
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let unusable = || {
        RestError::configuration(format!(
            "the Databricks host {text:?} is no address: write https://<workspace>.cloud.databricks.com"
        ))
    };
    let url = reqwest::Url::parse(&with_scheme).map_err(|_| unusable())?;
    let name = url.host_str().ok_or_else(unusable)?;
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
    if url.scheme() != "https" && !local {
        return Err(RestError::configuration(format!(
            "the Databricks host {text:?} would get the token without encryption: write https://"
        )));
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const FILE: &str = "; comment\n[DEFAULT]\nhost = https://default.example.com/?o=1\ntoken = of-default\n\n\
                        [staging]\nhost: no\nhost = staging.example.com\nclient_id = id\nclient_secret = s=1\n\n[empty]\n";

    fn found(profile: Option<&str>, variables: &[(&str, &str)]) -> Result<(String, RestOptions), RestError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cfg");
        std::fs::write(&path, FILE).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let lookup = |name: &str| {
            let given = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            given.or_else(|| (name == "DATABRICKS_CONFIG_FILE").then(|| path.clone()))
        };
        databricks(profile, RestOptions::default(), &lookup)
    }

    fn token(options: &RestOptions) -> Option<&str> {
        options.auth.token.as_ref().map(ExposeSecret::expose_secret)
    }

    #[test]
    fn the_environment_wins_and_the_profile_fills() {
        let both = [("DATABRICKS_HOST", "https://env.example.com/"), ("DATABRICKS_TOKEN", "of-env")];
        let (host, options) = found(None, &both).unwrap();
        assert_eq!((host.as_str(), token(&options)), ("https://env.example.com", Some("of-env")));
        let (host, options) = found(None, &[]).unwrap();
        assert_eq!((host.as_str(), token(&options)), ("https://default.example.com", Some("of-default")));
        let (host, options) = found(None, &[("DATABRICKS_CONFIG_PROFILE", "staging")]).unwrap();
        assert_eq!((host.as_str(), token(&options)), ("https://staging.example.com", None));
        let credentials = options.client_credentials.unwrap();
        assert_eq!(credentials.token_url, "https://staging.example.com/oidc/v1/token");
        assert_eq!(credentials.client_secret.expose_secret(), "s=1");
    }

    #[test]
    fn a_named_profile_is_read_alone() {
        let env = [("DATABRICKS_HOST", "https://env.example.com"), ("DATABRICKS_TOKEN", "of-env")];
        let (host, options) = found(Some("staging"), &env).unwrap();
        assert_eq!((host.as_str(), token(&options)), ("https://staging.example.com", None));
    }

    #[test]
    fn mlflows_own_credentials_do_not_go_to_databricks() {
        let mlflow = [("MLFLOW_TRACKING_USERNAME", "u"), ("MLFLOW_TRACKING_PASSWORD", "p")];
        let (_, options) = found(Some("staging"), &mlflow).unwrap();
        assert!(options.auth.username.is_none() && options.auth.token.is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        for (profile, variables, part) in [
            (Some("nobody"), vec![], "no profile [nobody]"),
            (Some("empty"), vec![], "DATABRICKS_HOST"),
            (None, vec![("DATABRICKS_HOST", "http://plain.example.com")], "without encryption"),
            (Some("empty"), vec![("DATABRICKS_HOST", "x")], "DATABRICKS_HOST"),
        ] {
            let error = found(profile, &variables).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let nothing = databricks(None, RestOptions::default(), &|_| None).unwrap_err().to_string();
        assert!(nothing.contains("DATABRICKS_HOST"), "{nothing}");
        let host_alone = |name: &str| (name == "DATABRICKS_HOST").then(|| "https://h".to_owned());
        let error = databricks(None, RestOptions::default(), &host_alone).unwrap_err().to_string();
        assert!(error.contains("DATABRICKS_TOKEN"), "{error}");
    }
}
