//! Tokens and passwords, compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::config::{AuthConfig, BasicAuthConfig, BearerTokenConfig, NOT_A_TOKEN, is_token};
use super::{TrustError, read};

const FILENAME: &str = "auth.bearertokenauth.filename";
const INLINE: &str = "auth.basicauth.htpasswd.inline";
const FILE: &str = "auth.basicauth.htpasswd.file";

/// How hashed passwords begin in the files of Apache's `htpasswd`, and in those of others.
const HASHED: [&str; 3] = ["$", "{SHA", "{SSHA"];

/// Who may send. Holds digests, not the secrets: they have one length, so that comparing them tells nothing.
pub(crate) struct Credentials {
    tokens: Vec<[u8; 32]>,
    users: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tokens, users) = (self.tokens.len(), self.users.len());
        write!(formatter, "Credentials {{ {tokens} tokens, {users} users }}")
    }
}

impl Credentials {
    /// Reads the settings and the files that they name.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or a line of it is no token, or no user with a password.
    pub(super) fn load(config: &AuthConfig) -> Result<Self, TrustError> {
        let tokens = config.bearertokenauth.as_ref().map(tokens).transpose()?.unwrap_or_default();
        let users = config.basicauth.as_ref().map(users).transpose()?.unwrap_or_default();
        Ok(Self { tokens, users })
    }

    /// Whether a request shows one of the tokens or passwords. Takes the same time whichever it is, or none.
    pub(crate) fn accept(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        // Two of them: which one a proxy has looked at is anybody's guess.
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let shown = shown.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            is_one_of(shown.as_bytes(), &self.tokens)
        } else if scheme.eq_ignore_ascii_case("basic") {
            STANDARD.decode(shown).is_ok_and(|shown| is_one_of(&shown, &self.users))
        } else {
            false
        }
    }

    /// What a sender could show: the values of `WWW-Authenticate`.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let bearer = (!self.tokens.is_empty()).then_some("Bearer realm=\"otel-mlflow\"");
        let basic = (!self.users.is_empty()).then_some("Basic realm=\"otel-mlflow\", charset=\"UTF-8\"");
        bearer.into_iter().chain(basic).map(HeaderValue::from_static)
    }
}

fn is_one_of(shown: &[u8], known: &[[u8; 32]]) -> bool {
    let shown = digest(shown);
    // All of them are compared, found or not.
    known.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&shown)).into()
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn tokens(config: &BearerTokenConfig) -> Result<Vec<[u8; 32]>, TrustError> {
    let given = config.token.iter().chain(&config.tokens).map(|token| digest(token.expose().as_bytes()));
    let mut tokens: Vec<_> = given.collect();
    if let Some(path) = &config.filename {
        let text = text(FILENAME, path)?;
        let before = tokens.len();
        for (number, line) in lines(&text) {
            if !is_token(line) {
                return Err(TrustError::unusable(FILENAME, format!("line {number}: {NOT_A_TOKEN}")));
            }
            tokens.push(digest(line.as_bytes()));
        }
        if tokens.len() == before {
            return Err(TrustError::unusable(FILENAME, format!("{} has no token", path.display())));
        }
    }
    Ok(tokens)
}

fn users(config: &BasicAuthConfig) -> Result<Vec<[u8; 32]>, TrustError> {
    let mut users = Vec::new();
    if let Some(inline) = &config.htpasswd.inline {
        add_users(INLINE, inline.expose(), &mut users)?;
    }
    if let Some(path) = &config.htpasswd.file {
        add_users(FILE, &text(FILE, path)?, &mut users)?;
    }
    Ok(users)
}

fn add_users(key: &'static str, text: &str, users: &mut Vec<[u8; 32]>) -> Result<(), TrustError> {
    let before = users.len();
    for (number, line) in lines(text) {
        let problem = match line.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                // Else the hash itself would be the password.
                let hashed = HASHED.iter().any(|start| password.starts_with(start));
                hashed.then_some("hashed passwords are not understood; write the password itself")
            }
            _ => Some("is not of the form user:password"),
        };
        if let Some(problem) = problem {
            return Err(TrustError::unusable(key, format!("line {number}: {problem}")));
        }
        users.push(digest(line.as_bytes()));
    }
    if users.len() == before {
        return Err(TrustError::unusable(key, "there is no user in it"));
    }
    Ok(())
}

/// Lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().map(str::trim).enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn text(key: &'static str, path: &std::path::Path) -> Result<String, TrustError> {
    let not_text = |_| TrustError::unusable(key, format!("{} is not UTF-8", path.display()));
    String::from_utf8(read(key, path)?).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load(settings: serde_json::Value) -> Result<Credentials, TrustError> {
        Credentials::load(&serde_json::from_value(settings).unwrap())
    }

    fn accepts(credentials: &Credentials, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        credentials.accept(&headers)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn each_of_the_tokens_is_accepted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, "# of the staging cluster\n\nthird\r\nfourth\n").unwrap();
        let tokens = json!({"bearertokenauth": {"token": "first", "tokens": ["second"], "filename": file}});
        let credentials = load(tokens).unwrap();
        for token in ["first", "second", "third", "fourth"] {
            assert!(accepts(&credentials, &format!("Bearer {token}")), "{token}");
            assert!(accepts(&credentials, &format!("bearer  {token} ")), "{token}");
        }
        for value in
            ["Bearer fifth", "Bearer ", "Bearer", "first", "Bearer firs", "Bearer # of", "Token first"]
        {
            assert!(!accepts(&credentials, value), "{value}");
        }
        assert!(!accepts(&credentials, &basic("first")), "a token is no password");
        assert!(!credentials.accept(&HeaderMap::new()));
        let challenges: Vec<_> = credentials.challenges().collect();
        assert_eq!(challenges, ["Bearer realm=\"otel-mlflow\""]);
    }

    #[test]
    fn two_answers_are_none() {
        let credentials = load(json!({"bearertokenauth": {"token": "first"}})).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Bearer first".parse().unwrap());
        headers.append(AUTHORIZATION, "Bearer wrong".parse().unwrap());
        assert!(!credentials.accept(&headers));
    }

    #[test]
    fn users_need_their_own_password() {
        let inline = "ada:lovelace\ngrace:hop:per";
        let credentials = load(json!({"basicauth": {"htpasswd": {"inline": inline}}})).unwrap();
        assert!(accepts(&credentials, &basic("ada:lovelace")));
        assert!(accepts(&credentials, &basic("grace:hop:per")), "a password may have colons");
        for pair in ["ada:hop:per", "ada", "ada:", ":lovelace", "grace:hop"] {
            assert!(!accepts(&credentials, &basic(pair)), "{pair}");
        }
        assert!(!accepts(&credentials, "Basic ada:lovelace"), "it is not in base64");
        assert!(!accepts(&credentials, "Bearer ada:lovelace"));
    }

    #[test]
    fn what_cannot_be_used_is_named_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for (text, kind, says) in [
            ("hush hush", "token", "line 1"),
            ("# nothing", "token", "no token"),
            ("hush", "user", "line 1: is not of the form"),
            ("ada:$2y$05$hush", "user", "hashed"),
            ("ada:{SHA}hush", "user", "hashed"),
            ("", "user", "no user"),
        ] {
            std::fs::write(&file, text).unwrap();
            let settings = match kind {
                "token" => json!({"bearertokenauth": {"filename": file}}),
                _ => json!({"basicauth": {"htpasswd": {"file": file}}}),
            };
            let error = load(settings).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("hush"), "{text}: {error}");
        }
        let error = load(json!({"bearertokenauth": {"filename": "/nowhere/tokens"}})).unwrap_err();
        assert!(error.to_string().contains("/nowhere/tokens cannot be read"), "{error}");
    }
}
