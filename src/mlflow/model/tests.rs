//! Against the files that real MLflow 3.17.2 wrote (`tests/data/mlflow-models`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlflow-models").join(name)
}

fn file(model: &str, name: &str) -> Option<String> {
    std::fs::read_to_string(folder(model).join(name)).ok()
}

fn read(model: &str) -> OpenAiModel {
    let (head, data) = (file(model, "MLmodel").unwrap(), file(model, "model.yaml").unwrap());
    assert_eq!(data_path(&head).unwrap(), "model.yaml");
    OpenAiModel::read(&head, &data, file(model, "input_example.json").as_deref()).unwrap()
}

/// The stamp of a model of MLflow's, as its files tell it.
fn stamp(model: &str) -> Stamp {
    let head = yaml::read(&file(model, "MLmodel").unwrap()).unwrap();
    let text = |key: &str| head.get(key).and_then(Value::as_str).map(str::to_owned);
    let openai = head.pointer("/flavors/openai/openai_version").and_then(Value::as_str).map(str::to_owned);
    let packages = file(model, "requirements.txt").unwrap();
    let env = yaml::read(&file(model, "python_env.yaml").unwrap()).unwrap();
    let build = env["build_dependencies"].as_array().unwrap().iter();
    Stamp {
        time_us: 0,
        uuid: text("model_uuid").unwrap(),
        model_id: text("model_id"),
        run_id: text("run_id"),
        artifact_path: text("artifact_path"),
        environment: Environment {
            openai,
            requirements: packages.lines().skip(1).map(str::to_owned).collect(),
            build: build.map(|package| package.as_str().unwrap().to_owned()).collect(),
            pip: "pip<=26.3".to_owned(),
            ..Environment::default()
        },
    }
}

/// What a file means, without what differs from one model to the next.
fn meaning(name: &str, text: &str) -> Value {
    let lines = || text.lines().filter(|line| !line.starts_with('#')).map(Value::from).collect();
    let mut value = match name.rsplit_once('.') {
        Some((_, "json")) => serde_json::from_str(text).unwrap(),
        Some((_, "txt")) => lines(),
        _ => yaml::read(text).unwrap(),
    };
    if let (true, Some(head)) = (name == MLMODEL, value.as_object_mut()) {
        head.remove("utc_time_created");
        // MLflow writes it only where it ran the model, to see what it reads.
        head.remove("env_vars");
        if let Some(parts) = head.get_mut("signature").and_then(Value::as_object_mut) {
            parts.values_mut().filter(|part| part.is_string()).for_each(|part| {
                *part = serde_json::from_str(part.as_str().unwrap()).unwrap();
            });
        }
    }
    value
}

#[test]
fn the_files_are_those_of_mlflow() {
    for name in ["chat-two-variables", "chat-no-messages", "completions", "embeddings", "logged-model"] {
        let mut model = read(name);
        model.signature = None;
        let ours: BTreeMap<_, _> = model.files(&stamp(name)).unwrap().into_iter().collect();
        for entry in std::fs::read_dir(folder(name)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let expected = meaning(file, &std::fs::read_to_string(&path).unwrap());
            let got = ours.get(file).unwrap_or_else(|| panic!("{name} lacks {file}"));
            assert_eq!(meaning(file, std::str::from_utf8(got).unwrap()), expected, "{name}/{file}");
        }
        assert_eq!(ours.contains_key("input_example.json"), folder(name).join("input_example.json").exists());
    }
}

#[test]
fn a_model_written_by_hand_is_read() {
    let model = read("handwritten-minimal");
    assert_eq!(model.variables().unwrap(), ["a", "b"]);
    let values = [("a", "1"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rendered = model.render_messages(&values.into_iter().collect()).unwrap();
    assert_eq!(rendered, [json!({"role": "user", "content": "Say 1 2"})]);
}

#[test]
fn what_is_written_is_read_again() {
    let example = InputExample::Texts(vec!["hi".to_owned()]);
    let azure = Azure {
        endpoint: "https://x.openai.azure.com".to_owned(),
        api_version: "2024-10-21".to_owned(),
        deployment: "d".to_owned(),
    };
    let written = OpenAiModel::chat("gpt-4o")
        .message("system", "Be \"kind\":\n{{json}} ü")
        .param("response_format", json!({"type": "json_object"}))
        .inference_param("temperature", 0)
        .example(example)
        .azure(azure);
    let files: BTreeMap<_, _> = written.files(&Stamp::default()).unwrap().into_iter().collect();
    let text = |name| std::str::from_utf8(files.get(name).unwrap()).unwrap();
    let read =
        OpenAiModel::read(text(MLMODEL), text("model.yaml"), Some(text("input_example.json"))).unwrap();
    assert_eq!(read.fingerprint(), written.fingerprint());
    assert_eq!(OpenAiModel { signature: None, ..read }, written);
}

#[test]
fn what_mlflow_would_refuse_is_refused() {
    let twice = OpenAiModel::chat("m").param("temperature", 1).inference_param("temperature", 1);
    assert!(matches!(twice.validate(), Err(ModelError::Twice { name }) if name == "temperature"));
    let broken = OpenAiModel::chat("m").message("user", "{");
    assert!(matches!(broken.files(&Stamp::default()), Err(ModelError::Template { .. })));
    let other = data_path("flavors: {sklearn: {}}").unwrap_err().to_string();
    assert_eq!(other, "only models of the flavor `openai` can be loaded, and this one has sklearn");
    let responses = OpenAiModel::read("flavors: {openai: {}}", "{task: responses, model: m}", None);
    assert!(matches!(responses, Err(ModelError::Unsupported { .. })));
}
