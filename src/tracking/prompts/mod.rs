//! The prompt registry.
//!
//! MLflow keeps a prompt as a registered model and its versions, told apart by tags; those written
//! here are the ones that MLflow's own client writes, so that both read each other's prompts.

mod links;
mod names;
mod register;
mod template;

use serde_json::Value;

use super::{Client, TrackingError, paging};
use crate::mlflow::entities::{ModelVersion, RegisteredModel, Search, Tag};
use names::PromptUri;
pub use template::{PromptTemplate, Rendered};

/// Tag of registered models and versions that are prompts.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
/// Tag of a version: its template.
const TEXT: &str = "mlflow.prompt.text";
/// Tag of a version: `text` or `chat` (MLflow 3).
const KIND: &str = "_mlflow_prompt_type";
/// Tag of a version: the schema of the answer, as JSON.
const RESPONSE_FORMAT: &str = "_mlflow_prompt_response_format";
/// Tag of a version: model and parameters that go with the prompt, as JSON.
const MODEL_CONFIG: &str = "_mlflow_prompt_model_config";
/// Tag of the prompt: the experiments whose pages show it, as `,1,2,`.
const EXPERIMENTS: &str = "_mlflow_experiment_ids";

/// What to register a version of a prompt with.
#[derive(Clone, Debug, Default)]
pub struct NewPrompt {
    /// Name: letters of ASCII, digits, `_`, `-` and `.`.
    pub name: String,
    /// The template.
    pub template: PromptTemplate,
    /// What has changed, as of a commit.
    pub commit_message: Option<String>,
    /// Tags, which MLflow sets on the version and on the prompt.
    pub tags: Vec<Tag>,
    /// JSON Schema of the answer (MLflow 3).
    pub response_format: Option<Value>,
    /// Model and parameters, such as `{"model_name": "gpt-4o", "temperature": 0.2}` (MLflow 3).
    pub model_config: Option<Value>,
}

impl NewPrompt {
    /// A prompt of this name and template.
    pub fn new(name: impl Into<String>, template: impl Into<PromptTemplate>) -> Self {
        Self { name: name.into(), template: template.into(), ..Self::default() }
    }
}

/// A version of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Name.
    pub name: String,
    /// Number of the version, from 1 on.
    pub version: u32,
    /// The template.
    pub template: PromptTemplate,
    /// What has changed, as of a commit.
    pub commit_message: Option<String>,
    /// Tags of the version, without those that MLflow keeps the prompt in.
    pub tags: Vec<Tag>,
    /// Aliases that stand for the version.
    pub aliases: Vec<String>,
    /// JSON Schema of the answer.
    pub response_format: Option<Value>,
    /// Model and parameters that go with it.
    pub model_config: Option<Value>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub creation_time_ms: i64,
}

impl Prompt {
    /// The address of the version: `prompts:/name/3`.
    pub fn uri(&self) -> String {
        format!("prompts:/{}/{}", self.name, self.version)
    }

    /// The names of the template's variables, each once, in the order in which they appear.
    pub fn variables(&self) -> Vec<String> {
        self.template.variables()
    }

    /// The template with every variable replaced by its value. Values are taken as they are: a
    /// `{{name}}` inside of one stays.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if a variable has no value, and [`TrackingError::Unsupported`] for
    /// a template with Jinja2's blocks, which Python alone renders.
    ///
    /// ```no_run
    /// # async fn example(client: opentelemetry_mlflow::tracking::Client)
    /// # -> Result<(), opentelemetry_mlflow::tracking::TrackingError> {
    /// let prompt = client.load_prompt("prompts:/summarize@production").await?;
    /// let rendered = prompt.render([("text", "…"), ("sentences", "2")])?;
    /// println!("{}", rendered.text().unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    pub fn render<K: AsRef<str>, V: ToString>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Rendered, TrackingError> {
        let values =
            values.into_iter().map(|(key, value)| (key.as_ref().to_owned(), value.to_string())).collect();
        self.template.render(&values)
    }

    fn from_version(version: ModelVersion) -> Result<Self, TrackingError> {
        let tag = |key: &str| version.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str());
        if tag(IS_PROMPT).is_none() {
            return Err(TrackingError::invalid(format!(
                "{:?} is a model, not a prompt: read it with `Client::get_model_version`",
                version.name
            )));
        }
        let unusable = |what: &str| {
            TrackingError::invalid(format!("version {} of {:?} has {what}", version.version, version.name))
        };
        let text = tag(TEXT).ok_or_else(|| unusable("no template"))?;
        let template = match tag(KIND) {
            Some("chat") => PromptTemplate::from_json(text)
                .ok_or_else(|| unusable("messages that are no list of objects"))?,
            _ => PromptTemplate::Text(text.to_owned()),
        };
        let json = |key| tag(key).and_then(|text| serde_json::from_str(text).ok());
        Ok(Self {
            version: version.version.parse().map_err(|_| unusable("no number"))?,
            template,
            response_format: json(RESPONSE_FORMAT),
            model_config: json(MODEL_CONFIG),
            tags: version.tags.iter().filter(|tag| !is_reserved(&tag.key)).cloned().collect(),
            name: version.name,
            commit_message: version.description,
            aliases: version.aliases,
            creation_time_ms: version.creation_time_ms,
        })
    }
}

fn is_reserved(key: &str) -> bool {
    [IS_PROMPT, TEXT, KIND, RESPONSE_FORMAT, MODEL_CONFIG].contains(&key)
}

impl Client {
    /// Loads a version of a prompt: `prompts:/name/3`, `prompts:/name@alias`, `prompts:/name@latest`,
    /// or a name alone, for the latest.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none, [`TrackingError::Invalid`] if the address is
    /// none, or names a model.
    pub async fn load_prompt(&self, name_or_uri: &str) -> Result<Prompt, TrackingError> {
        let version = match PromptUri::parse(name_or_uri)? {
            PromptUri::Version { name, version } => self.store().get_model_version(name, version).await?,
            PromptUri::Alias { name, alias } => self.store().get_model_version_by_alias(name, alias).await?,
            PromptUri::Latest { name } => {
                let search = Search { max_results: Some(1), ..versions_of(name) };
                let found = self.store().search_model_versions(search).await?;
                found.items.into_iter().next().ok_or_else(|| {
                    TrackingError::not_found(format!(
                        "there is no prompt {name:?}, or it has no version: register one first"
                    ))
                })?
            }
        };
        Prompt::from_version(version)
    }

    /// All versions of a prompt, the newest first.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] if the name is that of a model.
    pub async fn prompt_versions(&self, name: &str) -> Result<Vec<Prompt>, TrackingError> {
        names::check(name)?;
        let found =
            paging::all(versions_of(name), |search| self.store().search_model_versions(search)).await?;
        found.into_iter().map(Prompt::from_version).collect()
    }

    /// All prompts that a search finds, without their templates.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand.
    pub async fn search_prompts(&self, mut search: Search) -> Result<Vec<RegisteredModel>, TrackingError> {
        let prompts = format!("tags.`{IS_PROMPT}` = 'true'");
        search.filter = Some(match search.filter {
            Some(filter) => format!("{prompts} AND {filter}"),
            None => prompts,
        });
        paging::all(search, |search| self.store().search_registered_models(search)).await
    }

    /// Makes an alias stand for a version of a prompt.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such version, [`TrackingError::Invalid`] for an
    /// alias that MLflow does not take: `latest`, `v3`, or one with other characters than letters,
    /// digits, `_` and `-`.
    pub async fn set_prompt_alias(&self, name: &str, alias: &str, version: u32) -> Result<(), TrackingError> {
        names::check_alias(alias)?;
        let found = self.store().get_model_version(name, &version.to_string()).await?;
        Prompt::from_version(found)?;
        self.store().set_alias(name, alias, &version.to_string()).await
    }

    /// Removes an alias of a prompt.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such prompt.
    pub async fn delete_prompt_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        self.store().delete_alias(name, alias).await
    }

    /// Sets a tag of a version of a prompt.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for the tags that MLflow keeps the prompt in.
    pub async fn set_prompt_version_tag(
        &self,
        name: &str,
        version: u32,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        let tag = Tag::new(key, value);
        names::check_tag(&tag)?;
        self.store().set_model_version_tag(name, &version.to_string(), tag).await
    }
}

fn versions_of(name: &str) -> Search {
    Search {
        // Versions of prompts are hidden from a search that does not ask for them.
        filter: Some(format!("name = '{name}' AND tags.`{IS_PROMPT}` = 'true'")),
        order_by: vec!["version_number DESC".to_owned()],
        ..Search::default()
    }
}
