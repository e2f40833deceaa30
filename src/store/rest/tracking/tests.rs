//! The tracking API against what real servers answered (`tests/data/tracking/exchanges.json`,
//! recorded from MLflow 3.17.2 with its own client), and against a server that breaks off.

use serde_json::{Map, Value};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::mlflow::entities::{
    AssessmentSource, AssessmentValue, Dataset, DatasetInput, LogBatch, Metric, NewAssessment, NewExperiment,
    NewLoggedModel, NewModelVersion, NewRun, Param, RunStatus, RunUpdate, SourceKind, Tag,
};
use crate::store::rest::tests::options;
use crate::store::rest::{RestOptions, RestStore};
use crate::store::tracking::{TrackingError, TrackingStore};

const RECORDED: &str = include_str!("../../../../tests/data/tracking/exchanges.json");

/// A server that gives recorded answers.
pub(super) struct Recorded {
    pub(super) server: MockServer,
    exchanges: Map<String, Value>,
}

impl Recorded {
    pub(super) async fn start() -> Self {
        Self { server: MockServer::start().await, exchanges: serde_json::from_str(RECORDED).unwrap() }
    }

    /// The answer to the next call, which has to be the recorded one.
    async fn answer(&self, name: &str) {
        self.server.reset().await;
        let exchange = &self.exchanges[name];
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        let answer = ResponseTemplate::new(status).set_body_json(&exchange["response"]);
        let route = exchange["path"].as_str().unwrap().split('?').next().unwrap();
        Mock::given(method(exchange["method"].as_str().unwrap()))
            .and(path(route))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// What was asked is what was recorded: path with query, and body.
    async fn check(&self, name: &str) -> Request {
        let requests = self.server.received_requests().await.unwrap();
        let [request] = <[Request; 1]>::try_from(requests).unwrap();
        let exchange = &self.exchanges[name];
        let target = match request.url.query() {
            Some(query) => format!("{}?{query}", request.url.path()),
            None => request.url.path().to_owned(),
        };
        assert_eq!(target, exchange["path"].as_str().unwrap(), "{name}");
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        assert_eq!(without_empty(body), without_empty(exchange["body"].clone()), "{name}");
        request
    }

    fn store(&self) -> RestStore {
        RestStore::connect(&self.server.uri(), options()).unwrap()
    }
}

/// Protobuf's JSON leaves empty lists out.
fn without_empty(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| value.as_array().is_none_or(|items| !items.is_empty()));
    }
    body
}

fn param(key: &str, value: &str) -> Param {
    Param { key: key.to_owned(), value: value.to_owned() }
}

const EXPERIMENT: &str = "9";
const RUN: &str = "94816685b5bc4c9ab6b4b4ff602299d3";

fn experiment() -> NewExperiment {
    NewExperiment { name: "rest-exp2".to_owned(), tags: vec![Tag::new("team", "a")], artifact_location: None }
}

fn run() -> NewRun {
    NewRun {
        experiment_id: EXPERIMENT.to_owned(),
        name: Some("my run".to_owned()),
        user_id: Some("unknown".to_owned()),
        start_time_ms: 1_700_000_000_000,
        tags: vec![Tag::new("mlflow.source.name", "x.py")],
    }
}

fn batch() -> LogBatch {
    let metric =
        |key: &str, value: f64, timestamp_ms, step| Metric { key: key.to_owned(), value, timestamp_ms, step };
    LogBatch {
        metrics: vec![
            metric("acc", 0.5, 1_700_000_000_001, 0),
            metric("acc", 0.75, 1_700_000_000_002, 1),
            metric("nan", f64::NAN, 1_700_000_000_003, 0),
            metric("inf", f64::INFINITY, 1_700_000_000_003, 0),
            metric("ninf", f64::NEG_INFINITY, 1_700_000_000_003, 0),
            metric("big", 1e-07, 1_700_000_000_003, 0),
        ],
        params: vec![param("lr", "0.1"), param("model", "gpt")],
        tags: vec![Tag::new("a/b c", "v")],
    }
}

#[tokio::test]
async fn experiments_as_recorded() {
    let recorded = Recorded::start().await;
    let store = recorded.store();
    recorded.answer("create experiment").await;
    assert_eq!(TrackingStore::create_experiment(&store, experiment()).await.unwrap(), EXPERIMENT);
    recorded.check("create experiment").await;
    recorded.answer("find experiment").await;
    let found = TrackingStore::find_experiment(&store, "rest-exp2").await.unwrap().unwrap();
    recorded.check("find experiment").await;
    assert_eq!(found.artifact_location, "mlflow-artifacts:/9");
    assert_eq!(found.creation_time_ms, Some(1_795_212_360_414));
    assert_eq!(found.tags, [Tag::new("team", "a")]);
    recorded.answer("find no experiment").await;
    assert_eq!(TrackingStore::find_experiment(&store, "nope").await.unwrap(), None);
    recorded.answer("experiment exists").await;
    let error = TrackingStore::create_experiment(&store, experiment()).await.unwrap_err();
    assert!(
        matches!(&error, TrackingError::AlreadyExists { message } if !message.contains("INSERT")),
        "{error}"
    );
}

#[tokio::test]
async fn runs_as_recorded() {
    let recorded = Recorded::start().await;
    let store = recorded.store();
    recorded.answer("create run").await;
    let created = store.create_run(run()).await.unwrap();
    recorded.check("create run").await;
    assert_eq!((created.info.run_id.as_str(), created.info.status), (RUN, RunStatus::Running));
    assert_eq!((created.tag("mlflow.runName"), created.info.end_time_ms), (Some("my run"), None));
    recorded.answer("log batch").await;
    store.log_batch(RUN, batch()).await.unwrap();
    recorded.check("log batch").await;
    recorded.answer("param changed").await;
    let changed = LogBatch { params: vec![param("lr", "0.2")], ..LogBatch::default() };
    let error = store.log_batch(RUN, changed).await.unwrap_err();
    recorded.check("param changed").await;
    assert!(matches!(&error, TrackingError::Invalid { message } if message.contains("old_value")), "{error}");
    recorded.answer("create run nowhere").await;
    assert!(matches!(store.create_run(run()).await, Err(TrackingError::NotFound { .. })));
    recorded.answer("update run").await;
    let update =
        RunUpdate { status: Some(RunStatus::Finished), end_time_ms: Some(1_795_212_362_895), name: None };
    let info = store.update_run(RUN, update).await.unwrap();
    recorded.check("update run").await;
    assert_eq!((info.status, info.end_time_ms), (RunStatus::Finished, Some(1_795_212_362_895)));
}

#[tokio::test]
async fn inputs_and_models_as_recorded() {
    let recorded = Recorded::start().await;
    let store = recorded.store();
    recorded.answer("log inputs").await;
    let schema = r#"{"mlflow_colspec": [{"type": "long", "name": "a", "required": true}, {"type": "string", "name": "b", "required": true}]}"#;
    let dataset = Dataset {
        name: "ds1".to_owned(),
        digest: "695389ac".to_owned(),
        source_type: "s3".to_owned(),
        source: r#"{"uri": "s3://b/d.csv"}"#.to_owned(),
        schema: Some(schema.to_owned()),
        profile: Some(r#"{"num_rows": 2, "num_elements": 4}"#.to_owned()),
    };
    let input =
        DatasetInput { dataset, tags: vec![Tag::new("t", "1"), Tag::new("mlflow.data.context", "eval")] };
    store.log_inputs(RUN, vec![input], Vec::new()).await.unwrap();
    recorded.check("log inputs").await;
    recorded.answer("create logged model").await;
    let new = NewLoggedModel {
        experiment_id: EXPERIMENT.to_owned(),
        name: Some("lm1".to_owned()),
        model_type: Some("agent".to_owned()),
        source_run_id: Some(RUN.to_owned()),
        params: vec![param("p", "1")],
        tags: vec![Tag::new("x", "y")],
    };
    let model = store.create_logged_model(new).await.unwrap();
    recorded.check("create logged model").await;
    assert_eq!(model.model_id, "m-ed4278847b7d4bceb82174f99f7a2376");
    assert_eq!((model.params, model.tags), (vec![param("p", "1")], vec![Tag::new("x", "y")]));
    recorded.answer("create registered model").await;
    store.create_registered_model("rm1b", Some("d"), vec![Tag::new("a", "b")]).await.unwrap();
    recorded.check("create registered model").await;
    recorded.answer("version by alias").await;
    let version = store.get_model_version_by_alias("rm1b", "champion").await.unwrap();
    recorded.check("version by alias").await;
    assert_eq!((version.version.as_str(), version.aliases), ("1", vec!["champion".to_owned()]));
    assert_eq!(version.model_id.as_deref(), Some("m-ed4278847b7d4bceb82174f99f7a2376"));
}

#[tokio::test]
async fn assessments_as_recorded() {
    let recorded = Recorded::start().await;
    let store = recorded.store();
    let said = |name: &str, kind, id: &str, time, value| NewAssessment {
        trace_id: "tr-1251d78c1bff20aafe9ac0a9803b33c1".to_owned(),
        span_id: None,
        name: name.to_owned(),
        source: AssessmentSource { kind, id: id.to_owned() },
        value,
        rationale: None,
        metadata: Map::new(),
        create_time_ms: time,
        overrides: None,
    };
    let feedback = |value: Value| AssessmentValue::Feedback { value, error: None };
    recorded.answer("feedback").await;
    let mut new = said("quality", SourceKind::Human, "bob", 1_795_212_364_695, feedback(0.8.into()));
    new.rationale = Some("ok".to_owned());
    new.metadata.insert("k".to_owned(), "v".into());
    let created = store.create_assessment(new.clone()).await.unwrap();
    recorded.check("feedback").await;
    assert_eq!((created.content, created.valid), (new, true));
    recorded.answer("override").await;
    let mut new = said("yesno", SourceKind::Code, "default", 1_795_212_365_044, feedback("no".into()));
    new.overrides = Some("a-8cb3226583af47ada44e12558a1c3a73".to_owned());
    assert_eq!(store.create_assessment(new.clone()).await.unwrap().content, new);
    recorded.check("override").await;
    recorded.answer("expectation").await;
    let value = AssessmentValue::Expectation { value: serde_json::json!({"a": [1]}) };
    let new = said("expected", SourceKind::Human, "bob", 1_795_212_364_867, value);
    assert_eq!(store.create_assessment(new.clone()).await.unwrap().content, new);
}

/// A server that does what it is asked once, but whose answer gets lost: a proxy says 504.
async fn forgetful(route: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(route))
        .respond_with(ResponseTemplate::new(504))
        .up_to_n_times(1)
        .expect(1)
        .mount(&server)
        .await;
    server
}

async fn then(server: &MockServer, verb: &str, route: &str, answer: Value) {
    Mock::given(method(verb))
        .and(path(route))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(server)
        .await;
}

fn recorded(name: &str) -> Value {
    serde_json::from_str::<Map<String, Value>>(RECORDED).unwrap()[name]["response"].clone()
}

async fn posts(server: &MockServer, route: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path() == route).count()
}

#[tokio::test]
async fn a_run_that_was_made_without_an_answer_is_found_and_not_made_again() {
    let route = "/api/2.0/mlflow/runs/create";
    let server = forgetful(route).await;
    let made = serde_json::json!({ "runs": [recorded("create run")["run"]] });
    then(&server, "POST", "/api/2.0/mlflow/runs/search", made).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    assert_eq!(store.create_run(run()).await.unwrap().info.run_id, RUN);
    assert_eq!(posts(&server, route).await, 1);
}

#[tokio::test]
async fn a_run_that_is_another_is_not_taken_for_ours() {
    let route = "/api/2.0/mlflow/runs/create";
    let server = forgetful(route).await;
    let mut other = recorded("create run")["run"].clone();
    other["data"]["metrics"] = serde_json::json!([{"key": "m", "value": 1.0, "timestamp": "1", "step": "0"}]);
    then(&server, "POST", "/api/2.0/mlflow/runs/search", serde_json::json!({ "runs": [other] })).await;
    then(&server, "POST", route, recorded("create run")).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    store.create_run(run()).await.unwrap();
    assert_eq!(posts(&server, route).await, 2);
}

#[tokio::test]
async fn an_experiment_that_exists_after_a_lost_answer_is_ours_if_its_tags_are() {
    for (tag, ours) in [("a", true), ("b", false)] {
        let server = forgetful("/api/2.0/mlflow/experiments/create").await;
        then(&server, "GET", "/api/2.0/mlflow/experiments/get-by-name", recorded("find experiment")).await;
        let taken = ResponseTemplate::new(400).set_body_json(recorded("experiment exists"));
        Mock::given(method("POST")).respond_with(taken).mount(&server).await;
        let store = RestStore::connect(&server.uri(), options()).unwrap();
        let new = NewExperiment { tags: vec![Tag::new("team", tag)], ..experiment() };
        let result = TrackingStore::create_experiment(&store, new).await;
        match ours {
            true => assert_eq!(result.unwrap(), EXPERIMENT),
            false => assert!(matches!(result, Err(TrackingError::AlreadyExists { .. })), "{result:?}"),
        }
    }
}

#[tokio::test]
async fn a_version_that_was_made_without_an_answer_is_found_and_not_made_again() {
    let route = "/api/2.0/mlflow/model-versions/create";
    let server = forgetful(route).await;
    let search = "/api/2.0/mlflow/model-versions/search";
    // Nothing before the call, and the version after it.
    Mock::given(method("GET"))
        .and(path(search))
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let version = recorded("create version")["model_version"].clone();
    then(&server, "GET", search, serde_json::json!({ "model_versions": [version] })).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let new = NewModelVersion {
        name: "rm1b".to_owned(),
        source: "models:/m-ed4278847b7d4bceb82174f99f7a2376".to_owned(),
        run_id: Some(RUN.to_owned()),
        tags: vec![Tag::new("q", "w")],
        ..NewModelVersion::default()
    };
    assert_eq!(store.create_model_version(new).await.unwrap().version, "1");
    assert_eq!(posts(&server, route).await, 1);
}

#[tokio::test]
async fn a_server_that_stays_away_is_unavailable() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let error = store.create_run(run()).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn the_tokens_of_client_credentials_are_kept_and_renewed() {
    let recorded = Recorded::start().await;
    recorded.answer("create run").await;
    let granted =
        serde_json::json!({ "access_token": "granted", "token_type": "Bearer", "expires_in": 3600 });
    Mock::given(method("POST"))
        .and(path("/oidc/v1/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(granted))
        .mount(&recorded.server)
        .await;
    let uri = recorded.server.uri();
    let lookup = |name: &str| match name {
        "DATABRICKS_HOST" => Some(uri.clone()),
        "DATABRICKS_CLIENT_ID" => Some("id".to_owned()),
        "DATABRICKS_CLIENT_SECRET" => Some("secret".to_owned()),
        _ => None,
    };
    let options = RestOptions { retry_on_failure: options().retry_on_failure, ..RestOptions::default() };
    let (host, options) = crate::store::rest::databricks(None, options, &lookup).unwrap();
    let store = RestStore::connect(&host, options).unwrap();
    for _ in 0..2 {
        store.create_run(run()).await.unwrap();
    }
    let requests = recorded.server.received_requests().await.unwrap();
    let paths: Vec<_> = requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, ["/oidc/v1/token", "/api/2.0/mlflow/runs/create", "/api/2.0/mlflow/runs/create"]);
    assert_eq!(requests[0].headers["authorization"], "Basic aWQ6c2VjcmV0");
    assert_eq!(requests[0].body, b"grant_type=client_credentials&scope=all-apis");
    assert_eq!(requests[1].headers["authorization"], "Bearer granted");
    // The token is refused: another one is asked for, once.
    recorded.server.reset().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(401)).mount(&recorded.server).await;
    let error = store.create_run(run()).await.unwrap_err();
    assert!(matches!(&error, TrackingError::Denied { .. }), "{error}");
    let requests = recorded.server.received_requests().await.unwrap();
    let paths: Vec<_> = requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, ["/api/2.0/mlflow/runs/create", "/oidc/v1/token"]);
}

#[tokio::test]
async fn databricks_gets_the_recorded_requests_with_its_token() {
    let recorded = Recorded::start().await;
    let uri = recorded.server.uri();
    let lookup = |name: &str| match name {
        "DATABRICKS_HOST" => Some(format!("{uri}/?o=7")),
        "DATABRICKS_TOKEN" => Some("dapi-x".to_owned()),
        _ => None,
    };
    let (host, options) = crate::store::rest::databricks(None, options(), &lookup).unwrap();
    let store = RestStore::connect(&host, options).unwrap();
    recorded.answer("create run").await;
    store.create_run(run()).await.unwrap();
    let request = recorded.check("create run").await;
    assert_eq!(request.headers["authorization"], "Bearer dapi-x");
    assert_eq!(request.headers["content-type"], "application/json");
    recorded.answer("log batch").await;
    store.log_batch(RUN, batch()).await.unwrap();
    let request = recorded.check("log batch").await;
    assert_eq!(request.headers["authorization"], "Bearer dapi-x");
}
