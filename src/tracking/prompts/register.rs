//! Registering a version of a prompt.

use serde_json::Value;

use super::{
    EXPERIMENTS, IS_PROMPT, KIND, MODEL_CONFIG, NewPrompt, Prompt, PromptTemplate, RESPONSE_FORMAT, TEXT,
    names,
};
use crate::mlflow::entities::{NewModelVersion, RegisteredModel, Tag};
use crate::tracking::json::to_python_line;
use crate::tracking::{Client, TrackingError};

/// What MLflow's client gives as the source of a version that has none; the server refuses others.
const SOURCE: &str = "dummy-source";

impl Client {
    /// Registers a version of a prompt; the first one creates the prompt. Tags are set on the
    /// version and on the prompt, as MLflow does.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a name that MLflow does not take, a template that is too long
    /// (MLflow 3 takes 100,000 characters, MLflow 2 takes 5,000), or a name that is a model's.
    ///
    /// ```no_run
    /// # async fn example(client: opentelemetry_mlflow::tracking::Client)
    /// # -> Result<(), opentelemetry_mlflow::tracking::TrackingError> {
    /// use opentelemetry_mlflow::tracking::NewPrompt;
    ///
    /// let new = NewPrompt::new("summarize", "Summarize in {{sentences}} sentences: {{text}}");
    /// let prompt = client.register_prompt(new).await?;
    /// client.set_prompt_alias(&prompt.name, "production", prompt.version).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register_prompt(&self, new: NewPrompt) -> Result<Prompt, TrackingError> {
        names::check(&new.name)?;
        for tag in &new.tags {
            names::check_tag(tag)?;
        }
        let is_mlflow_2 = self.is_mlflow_2().await?;
        let of_prompt = self.prompt_entry(&new).await?;
        let version = self
            .store()
            .create_model_version(NewModelVersion {
                name: new.name.clone(),
                source: SOURCE.to_owned(),
                description: new.commit_message.clone(),
                tags: version_tags(&new, is_mlflow_2)?,
                ..NewModelVersion::default()
            })
            .await?;
        if !is_mlflow_2 {
            self.show_in_experiment(&of_prompt).await;
        }
        Prompt::from_version(version)
    }

    /// The registered model behind the prompt, with the new tags.
    async fn prompt_entry(&self, new: &NewPrompt) -> Result<RegisteredModel, TrackingError> {
        let found = match self.store().get_registered_model(&new.name).await {
            Ok(found) => found,
            Err(TrackingError::NotFound { .. }) => {
                let mut tags = vec![Tag::new(IS_PROMPT, "true")];
                tags.extend(new.tags.iter().cloned());
                let created = self
                    .store()
                    .create_registered_model(&new.name, new.commit_message.as_deref(), tags)
                    .await;
                match created {
                    // Somebody else was faster.
                    Err(TrackingError::AlreadyExists { .. }) => {
                        self.store().get_registered_model(&new.name).await?
                    }
                    created => return created,
                }
            }
            Err(error) => return Err(error),
        };
        if !found.tags.iter().any(|tag| tag.key == IS_PROMPT) {
            return Err(TrackingError::invalid(format!(
                "{:?} is the name of a model: take another name for the prompt",
                new.name
            )));
        }
        for tag in &new.tags {
            self.store().set_registered_model_tag(&new.name, tag.clone()).await?;
        }
        Ok(found)
    }

    /// Makes the page of the client's experiment list the prompt, as MLflow's client does. The
    /// prompt is registered without it, too.
    async fn show_in_experiment(&self, prompt: &RegisteredModel) {
        let shown = async {
            let id = self.default_experiment_id().await?;
            let known = prompt.tags.iter().find(|tag| tag.key == EXPERIMENTS).map(|tag| tag.value.as_str());
            match with_experiment(known.unwrap_or_default(), &id) {
                Some(value) => {
                    self.store().set_registered_model_tag(&prompt.name, Tag::new(EXPERIMENTS, value)).await
                }
                None => Ok(()),
            }
        };
        if let Err(error) = shown.await {
            tracing::warn!(prompt = prompt.name, %error, "the experiment's page will not list the prompt");
        }
    }

    /// Whether the server is of MLflow 2, whose clients write some things otherwise.
    pub(super) async fn is_mlflow_2(&self) -> Result<bool, TrackingError> {
        match self.store().server() {
            Some(server) => Ok(server.is_mlflow_2().await?),
            None => Ok(false),
        }
    }
}

/// The list with one more experiment; none if it is there already. The commas around each id let
/// MLflow look for one by `LIKE`.
fn with_experiment(known: &str, id: &str) -> Option<String> {
    let mut ids: Vec<&str> = known.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.contains(&id) {
        return None;
    }
    ids.push(id);
    Some(format!(",{},", ids.join(",")))
}

/// A version's tags. MLflow 2 knows texts alone, and says nothing of their kind.
fn version_tags(new: &NewPrompt, is_mlflow_2: bool) -> Result<Vec<Tag>, TrackingError> {
    let mut tags = new.tags.clone();
    tags.push(Tag::new(IS_PROMPT, "true"));
    match &new.template {
        PromptTemplate::Text(text) => {
            tags.push(Tag::new(TEXT, text));
            if is_mlflow_2 {
                return Ok(tags);
            }
            tags.push(Tag::new(KIND, "text"));
        }
        PromptTemplate::Chat(_) if is_mlflow_2 => {
            return Err(TrackingError::unsupported(
                "this MLflow server keeps prompts of one text alone: use MLflow 3 for messages",
            ));
        }
        PromptTemplate::Chat(messages) => {
            let messages = messages.iter().cloned().map(Value::Object).collect();
            tags.push(Tag::new(KIND, "chat"));
            tags.push(Tag::new(TEXT, to_python_line(&Value::Array(messages))));
        }
    }
    let optional = [(RESPONSE_FORMAT, &new.response_format), (MODEL_CONFIG, &new.model_config)];
    for (key, value) in optional {
        if let Some(value) = value {
            tags.push(Tag::new(key, to_python_line(value)));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(new: &NewPrompt, is_mlflow_2: bool) -> Vec<(String, String)> {
        let tags = version_tags(new, is_mlflow_2).unwrap();
        tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_are_those_of_mlflows_client() {
        let mut new = NewPrompt::new("p", "Hi {{name}}");
        new.tags.push(Tag::new("author", "ada"));
        let common = [("author", "ada"), (IS_PROMPT, "true"), (TEXT, "Hi {{name}}")];
        assert_eq!(shown(&new, true), pairs(&common));
        new.model_config = Some(json!({"model_name": "gpt-4o", "temperature": 0.2}));
        let mut expected = pairs(&common);
        expected.extend(pairs(&[
            (KIND, "text"),
            (MODEL_CONFIG, r#"{"model_name": "gpt-4o", "temperature": 0.2}"#),
        ]));
        assert_eq!(shown(&new, false), expected);
    }

    #[test]
    fn messages_are_written_as_python_does() {
        let new = NewPrompt::new("p", PromptTemplate::chat([("user", "Grüße {{a}}")]));
        let text = r#"[{"role": "user", "content": "Gr\u00fc\u00dfe {{a}}"}]"#;
        assert_eq!(shown(&new, false), pairs(&[(IS_PROMPT, "true"), (KIND, "chat"), (TEXT, text)]));
        assert!(matches!(version_tags(&new, true), Err(TrackingError::Unsupported { .. })));
    }

    #[test]
    fn experiments_are_listed_once() {
        assert_eq!(with_experiment("", "7").unwrap(), ",7,");
        assert_eq!(with_experiment(",1,7,", "17").unwrap(), ",1,7,17,");
        assert_eq!(with_experiment(",1,7,", "7"), None);
    }
}
