//! A model as files, in MLflow's layout.

use serde_json::{Map, Value, json};

use super::{Azure, MLMODEL, ModelError, OpenAiModel};
use crate::mlflow::yaml::to_yaml;

/// One file of a model: its path below the model's folder, and its content.
pub type ModelFile = (&'static str, Vec<u8>);

/// What says when and where a model was logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When, in microseconds since the Unix epoch.
    pub time_us: i64,
    /// Id of this copy: `m-…` of a logged model, else 32 hex digits.
    pub uuid: String,
    /// The logged model, on MLflow 3.
    pub model_id: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// Where the files lie: the address of the folder, or its path below the run.
    pub artifact_path: Option<String>,
    /// The Python side.
    pub environment: Environment,
}

/// The Python environment that a model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Version of Python.
    pub python: String,
    /// Version of MLflow.
    pub mlflow: String,
    /// Version of the package `openai`; none says nothing of it.
    pub openai: Option<String>,
    /// Packages beside MLflow, as pip takes them.
    pub requirements: Vec<String>,
    /// Packages that build others, as pip takes them.
    pub build: Vec<String>,
    /// The version of pip that conda asks for, as in `pip<=26.3`.
    pub pip: String,
}

impl Default for Environment {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Self {
            python: "3.11.7".to_owned(),
            mlflow: "3.17.2".to_owned(),
            openai: None,
            requirements: texts(&["openai>=1.17", "tenacity", "tiktoken"]),
            build: texts(&["pip", "setuptools", "wheel"]),
            pip: "pip".to_owned(),
        }
    }
}

impl OpenAiModel {
    /// The files of the model, as `mlflow.openai.log_model` writes them.
    ///
    /// # Errors
    ///
    /// MLflow could not load the model; see [`validate`](Self::validate).
    pub fn files(&self, stamp: &Stamp) -> Result<Vec<ModelFile>, ModelError> {
        self.validate()?;
        let environment = &stamp.environment;
        let variables = self.environment_variables();
        let mut files = vec![
            (MLMODEL, to_yaml(&self.head(stamp)?).into_bytes()),
            ("model.yaml", to_yaml(&self.data()).into_bytes()),
            ("conda.yaml", to_yaml(&environment.conda()).into_bytes()),
            ("python_env.yaml", to_yaml(&environment.python_env()).into_bytes()),
            ("requirements.txt", environment.packages().join("\n").into_bytes()),
            ("environment_variables.txt", format!("{NOTE}{}\n", variables.join("\n")).into_bytes()),
        ];
        if let Some(example) = &self.input_example {
            files.push(("input_example.json", example.stored().into_bytes()));
            files.push(("serving_input_example.json", example.serving().into_bytes()));
        }
        Ok(files)
    }

    /// What MLflow 2 notes of a model on its run, in the tag `mlflow.log-model.history`.
    pub fn history_entry(&self, stamp: &Stamp) -> Value {
        json!({
            "run_id": stamp.run_id,
            "artifact_path": stamp.artifact_path,
            "utc_time_created": time(stamp.time_us),
            "model_uuid": stamp.uuid,
            "flavors": stamp.environment.flavors(),
        })
    }

    /// The content of `MLmodel`.
    fn head(&self, stamp: &Stamp) -> Result<Value, ModelError> {
        let environment = &stamp.environment;
        let mut head = Map::new();
        let mut set = |key: &str, value: Value| drop(head.insert(key.to_owned(), value));
        if let Some(path) = &stamp.artifact_path {
            set("artifact_path", json!(path));
        }
        set("env_vars", json!(self.environment_variables()));
        set("flavors", environment.flavors());
        set("is_signature_from_type_hint", json!(false));
        let metadata = self.all_metadata();
        if !metadata.is_empty() {
            set("metadata", Value::Object(metadata));
        }
        set("mlflow_version", json!(environment.mlflow));
        set("model_id", json!(stamp.model_id));
        set("model_uuid", json!(stamp.uuid));
        set("prompts", Value::Null);
        if let Some(run_id) = &stamp.run_id {
            set("run_id", json!(run_id));
        }
        if let Some(example) = &self.input_example {
            set("saved_input_example_info", example.info());
        }
        set("signature", self.signature()?.to_model_file());
        set("type_hint_from_example", json!(false));
        set("utc_time_created", json!(time(stamp.time_us)));
        Ok(Value::Object(head))
    }

    /// The content of `model.yaml`, by key.
    fn data(&self) -> Value {
        let mut data = self.params.clone();
        data.insert("model".to_owned(), json!(self.model));
        data.insert("task".to_owned(), json!(self.task.as_str()));
        if !self.messages.is_empty() {
            data.insert("messages".to_owned(), json!(self.messages));
        }
        if let Some(prompt) = &self.prompt {
            data.insert("prompt".to_owned(), json!(prompt));
        }
        data.sort_keys();
        Value::Object(data)
    }

    /// Variables that a model needs when it predicts.
    fn environment_variables(&self) -> Vec<&'static str> {
        let mut names = vec!["OPENAI_API_KEY"];
        if self.azure.is_some() {
            names.extend(Azure::VARIABLES.map(|(name, _)| name));
        }
        names
    }

    /// MLflow takes where Azure serves a model from the environment; the model itself remembers it
    /// in its metadata.
    fn all_metadata(&self) -> Map<String, Value> {
        let mut metadata = self.metadata.clone();
        if let Some(azure) = &self.azure {
            for ((_, key), value) in Azure::VARIABLES.iter().zip(azure.values()) {
                metadata.insert((*key).to_owned(), json!(value));
            }
        }
        metadata
    }
}

impl Azure {
    /// Variables of the environment that MLflow reads, and the metadata that holds what they are to be.
    pub(super) const VARIABLES: [(&'static str, &'static str); 4] = [
        ("OPENAI_API_TYPE", "openai_api_type"),
        ("OPENAI_API_BASE", "openai_api_base"),
        ("OPENAI_API_VERSION", "openai_api_version"),
        ("OPENAI_DEPLOYMENT_NAME", "openai_deployment_name"),
    ];

    fn values(&self) -> [&str; 4] {
        ["azure", &self.endpoint, &self.api_version, &self.deployment]
    }
}

/// What MLflow writes at the top of `environment_variables.txt`, in our words.
const NOTE: &str = "# Names of environment variables that the model may need when it predicts.\n";

impl Environment {
    fn flavors(&self) -> Value {
        json!({
            "openai": {"code": null, "data": "model.yaml", "openai_version": self.openai},
            "python_function": {
                "data": "model.yaml",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.openai",
                "python_version": self.python,
            },
        })
    }

    /// The packages, MLflow first.
    fn packages(&self) -> Vec<String> {
        let mlflow = format!("mlflow=={}", self.mlflow);
        std::iter::once(mlflow).chain(self.requirements.iter().cloned()).collect()
    }

    fn conda(&self) -> Value {
        json!({
            "channels": ["conda-forge"],
            "dependencies": [format!("python={}", self.python), self.pip, {"pip": self.packages()}],
            "name": "mlflow-env",
        })
    }

    fn python_env(&self) -> Value {
        json!({
            "python": self.python,
            "build_dependencies": self.build,
            "dependencies": ["-r requirements.txt"],
        })
    }
}

/// `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.
fn time(us: i64) -> String {
    let (seconds, micros) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date, in years that begin in March (the proleptic Gregorian calendar).
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * in_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let date = in_year - (153 * shifted_month + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000000");
        assert_eq!(time(951_782_400_000_001), "2000-02-29 00:00:00.000001");
        assert_eq!(time(1_795_212_420_483_426), "2026-11-20 22:07:00.483426");
    }
}
