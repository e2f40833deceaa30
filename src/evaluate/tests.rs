//! Runs over tables, with models that are closures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::store::BoxFuture;
use crate::tracking::Table;

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row[column].as_str().unwrap()
}

fn examples() -> Table {
    Table::from_columns([
        ("inputs", vec!["What is two and two?", "What is the capital of France?", "fail"]),
        ("ground_truth", vec!["Four.", "The capital of France is Paris.", "None."]),
    ])
    .unwrap()
}

/// Answers rightly, wrongly, and not at all.
fn model() -> impl Model {
    model_fn(|row: Row| async move {
        assert!(!row.contains_key("ground_truth"), "the model sees the targets");
        match text(&row, "inputs") {
            "fail" => Err("the model is down"),
            "What is two and two?" => Ok("Five."),
            _ => Ok("The capital of France is Paris."),
        }
    })
}

fn names(results: &Evaluated) -> Vec<String> {
    results.table().columns().to_vec()
}

#[tokio::test]
async fn names_are_those_of_mlflow_and_a_bad_row_hurts_only_itself() {
    let evaluation =
        Evaluation::new(examples()).targets("ground_truth").model_type(ModelType::QuestionAnswering);
    let results = evaluation.metric(metrics::latency()).run(&model()).await.unwrap();
    let columns = [
        "inputs",
        "ground_truth",
        "outputs",
        "latency",
        "token_count",
        "flesch_kincaid_grade_level/v1/score",
        "ari_grade_level/v1/score",
        "error",
    ];
    assert_eq!(names(&results), columns);
    assert_eq!(results.metric("exact_match/v1"), Some(0.5));
    assert_eq!(results.metric("errors"), Some(1.0));
    assert_eq!(results.failed(), 1);
    let grades = [ari_grade_level("Five."), ari_grade_level("The capital of France is Paris.")];
    assert_eq!(results.metric("ari_grade_level/v1/mean"), Aggregation::Mean.of(&grades));
    assert_eq!(results.metric("ari_grade_level/v1/p90"), Aggregation::P90.of(&grades));
    assert_eq!(results.metric("token_count/mean"), None);
    assert!(results.metric("latency/mean").is_some());
    assert_eq!(results.column("error").unwrap(), [Value::Null, Value::Null, json!("the model is down")]);
    assert_eq!(results.column("outputs").unwrap()[2], Value::Null);
    assert_eq!(results.column("token_count").unwrap(), [json!(2), json!(7), Value::Null]);
}

/// What `mlflow.evaluate` of MLflow 3.17.2 logs for these answers, with textstat 0.7.13 and `latency`.
#[tokio::test]
async fn metrics_are_those_that_mlflow_logs() {
    let (short, long) =
        ("Paris is the capital of France.", "Paris is the capital of France. It lies on the Seine.");
    let table = Table::from_columns([
        ("inputs", [short, long, long].to_vec()),
        ("truth", vec![short, "Paris.", long]),
    ]);
    let echo = model_fn(|row: Row| async move { Ok::<_, BoxError>(text(&row, "inputs").to_owned()) });
    let evaluation =
        Evaluation::new(table.unwrap()).targets("truth").model_type(ModelType::QuestionAnswering);
    let results = evaluation.run(&echo).await.unwrap();
    let logged = [
        ("flesch_kincaid_grade_level/v1/mean", 2.5321212121212135),
        ("flesch_kincaid_grade_level/v1/variance", 1.8391295224977071),
        ("flesch_kincaid_grade_level/v1/p90", 3.874636363636366),
        ("ari_grade_level/v1/mean", 0.48121212121212054),
        ("ari_grade_level/v1/variance", 1.1231825528007364),
        ("ari_grade_level/v1/p90", 1.5303636363636366),
        ("exact_match/v1", 0.6666666666666666),
    ];
    assert_eq!(results.metrics(), logged.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(results.column("token_count").unwrap(), [7, 14, 14]);
}

#[tokio::test]
async fn recorded_predictions_keep_their_column() {
    let mut columns = vec![("answer", vec![json!("Four."), json!("Rome."), Value::Null])];
    let others = examples();
    columns.extend(
        others.columns().iter().map(|name| (name.as_str(), others.column(name).unwrap().cloned().collect())),
    );
    let evaluation = Evaluation::new(Table::from_columns(columns).unwrap()).targets("ground_truth");
    let results = evaluation.metric(metrics::exact_match()).run_recorded("answer").await.unwrap();
    assert_eq!(names(&results), ["inputs", "ground_truth", "answer", "error"]);
    assert_eq!(results.metrics(), [("exact_match/v1".to_owned(), 0.5), ("errors".to_owned(), 1.0)]);
}

#[tokio::test]
async fn two_models_make_one_table() {
    let right = model_fn(|row: Row| async move {
        Ok::<_, BoxError>(Prediction::from(text(&row, "inputs")).with_usage("gpt-4o-mini", 1000, 0))
    });
    let evaluation = Evaluation::new(examples())
        .targets("ground_truth")
        .metric(metrics::exact_match())
        .metric(metrics::cost());
    let results = evaluation.compare(&[("champion", &model()), ("challenger", &right)]).await.unwrap();
    let columns = [
        "inputs",
        "ground_truth",
        "champion/outputs",
        "champion/cost",
        "champion/error",
        "challenger/outputs",
        "challenger/cost",
    ];
    assert_eq!(names(&results), columns);
    assert_eq!(results.metric("champion/exact_match/v1"), Some(0.5));
    assert_eq!(results.metric("challenger/exact_match/v1"), Some(0.0));
    assert_eq!(results.metric("champion/cost/sum"), None);
    assert!((results.metric("challenger/cost/sum").unwrap() - 0.00045).abs() < 1e-12);
    let twice = evaluation.compare(&[("a", &model()), ("a", &right)]).await;
    assert!(matches!(twice, Err(EvaluateError::Twice(name)) if name == "a"));
}

#[tokio::test]
async fn no_more_rows_are_under_way_than_allowed() {
    let rows: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let (open, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let model = model_fn(|row: Row| {
        let (open, most) = (&open, &most);
        async move {
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            open.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, BoxError>(text(&row, "inputs").to_owned())
        }
    });
    let examples = Table::from_columns([("inputs", rows)]).unwrap();
    let results = Evaluation::new(examples).concurrency(3).run(&model).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(results.column("inputs"), results.column("outputs"));
}

/// A judge that says what it was asked.
fn echo(asked: &Arc<std::sync::Mutex<Vec<String>>>) -> impl Judge + 'static {
    let asked = Arc::clone(asked);
    judge_fn(move |request: JudgeRequest| {
        let answer = match request.prompt.contains("Five.") {
            true => "I will not say.",
            false => "score: 4\njustification: Nearly.",
        };
        asked.lock().unwrap().push(request.prompt);
        async move { Ok::<_, BoxError>(answer.to_owned()) }
    })
}

#[tokio::test]
async fn judges_see_their_material_and_give_score_and_reason() {
    let asked = Arc::default();
    let evaluation = Evaluation::new(examples()).targets("ground_truth").concurrency(1);
    let evaluation = evaluation.metric(judge::answer_similarity(echo(&asked)));
    let results = evaluation.metric(judge::answer_relevance(echo(&asked))).run(&model()).await.unwrap();
    assert_eq!(results.metric("answer_similarity/v1/mean"), Some(4.0));
    assert_eq!(results.column("answer_relevance/v1/score").unwrap(), [Value::Null, json!(4), Value::Null]);
    assert_eq!(results.column("answer_relevance/v1/justification").unwrap()[1], "Nearly.");
    let error = results.column("error").unwrap()[0].as_str().unwrap();
    assert!(error.starts_with("answer_similarity/v1: the judge gave no score"), "{error}");
    assert!(error.contains("; answer_relevance/v1: "), "{error}");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    assert!(asked[2].contains("<reference>\nThe capital of France is Paris.\n</reference>"));
    assert!(
        !asked[2].contains("<question>") && asked[3].contains("<question>\nWhat is the capital of France?\n")
    );
    assert!(!asked[3].contains("<reference>"));
}

struct Length;

impl EvaluationMetric for Length {
    fn name(&self) -> &str {
        "length"
    }

    fn aggregations(&self) -> &[Aggregation] {
        &[Aggregation::Max]
    }

    fn score<'a>(&'a self, sample: Sample<'a>) -> BoxFuture<'a, Result<Score, BoxError>> {
        Box::pin(async move { Ok(sample.text().map(|text| text.len() as f64 + 0.5).into()) })
    }
}

#[tokio::test]
async fn own_metrics_take_part() {
    let evaluation = Evaluation::new(examples()).targets("ground_truth").metric(Length);
    let results = evaluation.run(&model()).await.unwrap();
    assert_eq!(results.metric("length/max"), Some(31.5));
    assert_eq!(results.column("length/score").unwrap(), [json!(5.5), json!(31.5), Value::Null]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_a_model_is_asked() {
    let idle = model_fn(|_: Row| async { panic!("it was asked") as Result<String, BoxError> });
    let refused = |evaluation: Evaluation| {
        let idle = &idle;
        async move { evaluation.run(idle).await.unwrap_err().to_string() }
    };
    let missing = refused(Evaluation::new(examples()).targets("truth")).await;
    assert_eq!(missing, "the examples have no column `truth`; they have: inputs, ground_truth");
    let faithful = judge::faithfulness(echo(&Arc::default()));
    assert!(refused(Evaluation::new(examples()).metric(faithful)).await.contains("`context`"));
    let twice = Evaluation::new(examples()).metric(metrics::exact_match()).metric(metrics::exact_match());
    assert_eq!(refused(twice).await, "`exact_match/v1` is there twice; give each its own name");
    assert_eq!(refused(Evaluation::new(Table::default())).await, "the examples have no rows");
}
