//! What used a version of a prompt: runs, traces, models, spans.

use serde_json::{Value, json};

use super::Prompt;
use crate::mlflow::entities::Tag;
use crate::tracking::json::to_python_line;
use crate::tracking::{Client, TrackingError};

/// Tag of runs, traces and models, and attribute of spans: the versions of prompts that they used.
const LINKED_PROMPTS: &str = "mlflow.linkedPrompts";
/// The same before MLflow 3: a tag of the version with the runs.
const RUN_IDS: &str = "mlflow.prompt.run_ids";

impl Client {
    /// Notes that a run uses a version of a prompt, so that MLflow's pages show it.
    ///
    /// Reads what is noted and writes it again, as MLflow does: of two calls for one run at the same
    /// time, one may be lost.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown run.
    pub async fn link_prompt_to_run(&self, run_id: &str, prompt: &Prompt) -> Result<(), TrackingError> {
        if self.is_mlflow_2().await? {
            return self.link_run_to_prompt(run_id, prompt).await;
        }
        let run = self.get_run(run_id).await?;
        match with_prompt(run.tag(LINKED_PROMPTS), prompt)? {
            Some(value) => self.set_tag(run_id, LINKED_PROMPTS, value).await,
            None => Ok(()),
        }
    }

    async fn link_run_to_prompt(&self, run_id: &str, prompt: &Prompt) -> Result<(), TrackingError> {
        let version = prompt.version.to_string();
        let found = self.store().get_model_version(&prompt.name, &version).await?;
        let known = found.tags.iter().find(|tag| tag.key == RUN_IDS).map(|tag| tag.value.as_str());
        let mut runs: Vec<&str> = known.map(|known| known.split(',').collect()).unwrap_or_default();
        if runs.contains(&run_id) {
            return Ok(());
        }
        runs.push(run_id);
        self.store().set_model_version_tag(&prompt.name, &version, Tag::new(RUN_IDS, runs.join(","))).await
    }

    /// Notes that a trace used a version of a prompt (MLflow 3). As [`Self::link_prompt_to_run`].
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown trace, [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn link_prompt_to_trace(&self, trace_id: &str, prompt: &Prompt) -> Result<(), TrackingError> {
        let trace = self.get_trace(trace_id).await?;
        let known = trace.get("info").and_then(|info| info.get("tags")?.get(LINKED_PROMPTS)?.as_str());
        let link = [(prompt.name.clone(), prompt.version.to_string())];
        self.store().link_prompts(trace_id, &link).await?;
        match with_prompt(known, prompt)? {
            Some(value) => self.set_trace_tag(trace_id, LINKED_PROMPTS, value).await,
            None => Ok(()),
        }
    }

    /// Notes that a logged model uses a version of a prompt (MLflow 3). As
    /// [`Self::link_prompt_to_run`].
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown model, [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn link_prompt_to_model(&self, model_id: &str, prompt: &Prompt) -> Result<(), TrackingError> {
        let model = self.store().get_logged_model(model_id).await?;
        let known = model.tags.iter().find(|tag| tag.key == LINKED_PROMPTS).map(|tag| tag.value.as_str());
        match with_prompt(known, prompt)? {
            Some(value) => {
                self.store().set_logged_model_tags(model_id, vec![Tag::new(LINKED_PROMPTS, value)]).await
            }
            None => Ok(()),
        }
    }
}

/// The list of prompts with one more; none if it is there already.
fn with_prompt(known: Option<&str>, prompt: &Prompt) -> Result<Option<String>, TrackingError> {
    let mut entries: Vec<Value> = match known {
        Some(text) => serde_json::from_str(text).map_err(|_| {
            TrackingError::invalid(format!("the tag {LINKED_PROMPTS} is no list: remove it, and link again"))
        })?,
        None => Vec::new(),
    };
    let entry = json!({ "name": prompt.name, "version": prompt.version.to_string() });
    if entries.contains(&entry) {
        return Ok(None);
    }
    entries.push(entry);
    Ok(Some(to_python_line(&Value::Array(entries))))
}

#[cfg(feature = "instrument")]
mod spans {
    use std::collections::VecDeque;
    use std::sync::{Mutex, PoisonError};

    use opentelemetry::trace::{SpanContext, TraceContextExt};
    use opentelemetry::{Context, KeyValue};
    use serde_json::Value;

    use super::{LINKED_PROMPTS, Prompt, to_python_line, with_prompt};

    /// A span cannot be asked for its attributes, so what the last spans were linked to is kept.
    static LAST: Mutex<VecDeque<(SpanContext, String)>> = Mutex::new(VecDeque::new());
    /// How many spans are kept: those under way at once that load more than one prompt.
    const KEPT: usize = 256;

    impl Prompt {
        /// Notes on the current span that this version is used, as MLflow's `load_prompt` does: the
        /// span's attribute, and, where the span is the root of its trace, the trace's tag. Without
        /// a current span that is recorded nothing happens.
        ///
        /// [`Client::link_prompt_to_trace`](crate::tracking::Client::link_prompt_to_trace) does it
        /// for a trace that has arrived in MLflow.
        pub fn link_to_current_span(&self) {
            let context = Context::current();
            let span = context.span();
            if !span.is_recording() {
                return;
            }
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            let at = last.iter().position(|(known, _)| known == span.span_context());
            let known = at.and_then(|at| last.remove(at)).map(|(_, value)| value);
            let linked = match with_prompt(known.as_deref(), self) {
                Ok(Some(value)) => value,
                // It is linked already: what is known stays known.
                Ok(None) | Err(_) => known.unwrap_or_default(),
            };
            if last.len() >= KEPT {
                last.pop_front();
            }
            last.push_back((span.span_context().clone(), linked.clone()));
            drop(last);
            // MLflow's own spans hold every value as JSON.
            let as_json = to_python_line(&Value::String(linked.clone()));
            span.set_attribute(KeyValue::new(LINKED_PROMPTS, as_json));
            span.set_attribute(KeyValue::new(format!("mlflow.traceTag.{LINKED_PROMPTS}"), linked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::prompts::PromptTemplate;

    fn prompt(name: &str, version: u32) -> Prompt {
        Prompt {
            name: name.to_owned(),
            version,
            template: PromptTemplate::default(),
            commit_message: None,
            tags: Vec::new(),
            aliases: Vec::new(),
            response_format: None,
            model_config: None,
            creation_time_ms: 0,
        }
    }

    #[test]
    fn prompts_are_listed_once_in_pythons_form() {
        let one = with_prompt(None, &prompt("a", 1)).unwrap().unwrap();
        assert_eq!(one, r#"[{"name": "a", "version": "1"}]"#);
        assert_eq!(with_prompt(Some(&one), &prompt("a", 1)).unwrap(), None);
        let two = with_prompt(Some(&one), &prompt("b", 12)).unwrap().unwrap();
        assert_eq!(two, r#"[{"name": "a", "version": "1"}, {"name": "b", "version": "12"}]"#);
        assert!(with_prompt(Some("{}"), &prompt("a", 1)).is_err());
    }

    #[cfg(feature = "autolog")]
    #[test]
    fn the_current_span_names_every_prompt_it_used() {
        use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
        use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let span = provider.tracer("test").start("call");
        let context = opentelemetry::Context::current_with_span(span);
        let guard = context.clone().attach();
        for prompt in [prompt("a", 1), prompt("b", 2), prompt("a", 1)] {
            prompt.link_to_current_span();
        }
        drop(guard);
        context.span().end();
        let spans = exporter.get_finished_spans().unwrap();
        let attribute = |key: &str| {
            let found = spans[0].attributes.iter().rfind(|pair| pair.key.as_str() == key).unwrap();
            found.value.as_str().into_owned()
        };
        let list = r#"[{"name": "a", "version": "1"}, {"name": "b", "version": "2"}]"#;
        assert_eq!(attribute("mlflow.traceTag.mlflow.linkedPrompts"), list);
        assert_eq!(serde_json::from_str::<String>(&attribute("mlflow.linkedPrompts")).unwrap(), list);
    }
}
