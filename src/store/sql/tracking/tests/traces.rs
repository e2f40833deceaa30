//! Links, tags, assessments, and traces as they are read.

use serde_json::json;

use super::*;
use crate::mlflow::entities::{AssessmentError, AssessmentSource, AssessmentValue, SourceKind};

fn feedback(value: Value) -> NewAssessment {
    NewAssessment {
        trace_id: trace(1),
        span_id: None,
        name: "good".to_owned(),
        source: AssessmentSource { kind: SourceKind::Human, id: "bob".to_owned() },
        value: AssessmentValue::Feedback { value, error: None },
        rationale: None,
        metadata: Map::new(),
        create_time_ms: 5,
        overrides: None,
    }
}

#[tokio::test]
async fn any_number_of_traces_is_linked_once() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let ids: Vec<_> = (0..1_200).map(trace).collect();
        store.link_traces(RUN, &ids).await.unwrap();
        store.link_traces(RUN, &ids[..5]).await.unwrap();
        assert_eq!(
            fresh
                .rows("SELECT count(*), min(source_type), min(destination_type), min(destination_id) FROM entity_associations")
                .await,
            [format!("1200|trace|run|{RUN}")]
        );
    }
}

#[tokio::test]
async fn tags_of_a_trace_are_set_as_far_as_they_may_be() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&trace(1), 1)]).await.unwrap();
        store.set_trace_tag(&trace(1), Tag::new("k", "v")).await.unwrap();
        store.set_trace_tag(&trace(1), Tag::new("mlflow.traceName", "renamed")).await.unwrap();
        assert_eq!(fresh.rows("SELECT trace_name FROM trace_info").await, ["renamed"]);
        assert_eq!(fresh.rows("SELECT value FROM trace_tags WHERE key = 'k'").await, ["v"]);
        assert_eq!(fresh.rows("SELECT value FROM trace_tags WHERE key = 'mlflow.traceName'").await, [""; 0]);
        let fixed = store.set_trace_tag(&trace(1), Tag::new("mlflow.trace.spansLocation", "x")).await;
        assert!(matches!(fixed, Err(TrackingError::Invalid { .. })), "{fixed:?}");
        store.delete_trace_tag(&trace(1), "k").await.unwrap();
        store.delete_trace_tag(&trace(1), "k").await.unwrap();
        store.delete_trace_tag(&trace(1), "mlflow.traceName").await.unwrap();
        assert_eq!(fresh.rows("SELECT trace_name FROM trace_info").await, ["NULL"]);
        assert_eq!(fresh.rows("SELECT value FROM trace_tags WHERE key = 'k'").await, [""; 0]);
        let fixed = store.delete_trace_tag(&trace(1), "mlflow.trace.spansLocation").await;
        assert!(matches!(fixed, Err(TrackingError::Invalid { .. })), "{fixed:?}");
        let unknown = store.delete_trace_tag(&trace(2), "k").await;
        assert!(matches!(unknown, Err(TrackingError::NotFound { .. })), "{unknown:?}");
        let unknown = store.set_trace_tag(&trace(2), Tag::new("k", "v")).await;
        assert!(matches!(unknown, Err(TrackingError::NotFound { .. })), "{unknown:?}");
    }
}

#[tokio::test]
async fn prompts_of_a_trace_are_linked_once() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&trace(1), 1)]).await.unwrap();
        let prompts = [("p", "1"), ("q", "2"), ("p", "1")];
        let prompts = prompts.map(|(name, version)| (name.to_owned(), version.to_owned()));
        store.link_prompts(&trace(1), &prompts).await.unwrap();
        store.link_prompts(&trace(1), &prompts[..1]).await.unwrap();
        let linked = "SELECT source_type, source_id, destination_type, destination_id FROM entity_associations \
                      ORDER BY destination_id";
        let expected = ["p/1", "q/2"].map(|prompt| format!("trace|{}|prompt_version|{prompt}", trace(1)));
        assert_eq!(fresh.rows(linked).await, expected);
        let unknown = store.link_prompts(&trace(2), &prompts).await;
        assert!(matches!(unknown, Err(TrackingError::NotFound { .. })), "{unknown:?}");
    }
}

#[tokio::test]
async fn an_assessment_replaces_another_until_it_is_removed() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&trace(1), 1)]).await.unwrap();
        let first = store.create_assessment(feedback(json!("yes"))).await.unwrap();
        assert_eq!(
            fresh
                .rows(
                    "SELECT trace_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp, \
                     source_type, source_id, run_id, span_id, rationale, overrides, assessment_metadata, \
                     experiment_id, trace_timestamp_ms, aggregate_value FROM assessments WHERE valid AND NOT is_numeric_value"
                )
                .await,
            [format!(
                "{}|good|feedback|\"yes\"|NULL|5|5|HUMAN|bob|NULL|NULL|NULL|NULL|NULL|0|1000|1",
                trace(1)
            )]
        );
        let mut second = feedback(json!(0.5));
        second.overrides = Some(first.assessment_id.clone());
        second.metadata.insert("k".to_owned(), json!("ä"));
        let second = store.create_assessment(second).await.unwrap();
        let stored = store.assessments(&trace(1)).await.unwrap();
        let valid = |id: &str| stored.iter().find(|stored| stored.assessment_id == id).unwrap().valid;
        assert!(!valid(&first.assessment_id) && valid(&second.assessment_id));
        assert!(stored.contains(&second), "{stored:?}");
        store.delete_assessment(&trace(1), &second.assessment_id).await.unwrap();
        store.delete_assessment(&trace(1), &second.assessment_id).await.unwrap();
        assert_eq!(store.assessments(&trace(1)).await.unwrap(), [first]);
    }
}

#[tokio::test]
async fn an_assessment_needs_its_trace_and_what_it_replaces() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let lost = store.create_assessment(feedback(json!(1))).await;
        assert!(matches!(lost, Err(TrackingError::NotFound { .. })), "{lost:?}");
        store.write(vec![update(&trace(1), 1)]).await.unwrap();
        let lost = NewAssessment { overrides: Some("a-0".to_owned()), ..feedback(json!(1)) };
        assert!(matches!(store.create_assessment(lost).await, Err(TrackingError::NotFound { .. })));
        let error = AssessmentError {
            code: "ValueError".to_owned(),
            message: Some("boom".to_owned()),
            stack_trace: None,
        };
        let failed = NewAssessment {
            value: AssessmentValue::Feedback { value: json!(null), error: Some(error) },
            ..feedback(json!(null))
        };
        let failed = store.create_assessment(failed).await.unwrap();
        assert_eq!(store.assessments(&trace(1)).await.unwrap(), [failed]);
        assert_eq!(
            fresh.rows("SELECT value, error FROM assessments").await,
            [r#"null|{"error_code": "ValueError", "error_message": "boom", "stack_trace": null}"#]
        );
    }
}

#[tokio::test]
async fn a_trace_is_read_as_the_api_shows_it() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&trace(1), 2)]).await.unwrap();
        store.set_trace_tag(&trace(1), Tag::new("mlflow.traceName", "asked")).await.unwrap();
        fresh.run("UPDATE trace_info SET input_tokens = 3, total_tokens = 5, total_cost = 0.5").await;
        store.create_assessment(feedback(json!("yes"))).await.unwrap();
        let trace_id = trace(1);
        let found = store.get_trace(&trace_id).await.unwrap();
        let info = &found["info"];
        assert_eq!(info["trace_location"]["mlflow_experiment"]["experiment_id"], "0");
        assert_eq!(info["request_time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(info["execution_duration"], "1.000s");
        assert_eq!(info["tags"]["mlflow.traceName"], "asked");
        assert_eq!(info["trace_metadata"]["mlflow.trace.session"], "s1");
        assert_eq!(
            info["trace_metadata"]["mlflow.trace.tokenUsage"],
            r#"{"input_tokens": 3, "total_tokens": 5}"#
        );
        assert_eq!(info["trace_metadata"]["mlflow.trace.cost"], r#"{"total_cost": 0.5}"#);
        assert_eq!(info["assessments"][0]["feedback"]["value"], "yes");
        assert_eq!(found["spans"][0]["span_id"], "0000000000000001");
        assert_eq!(found["spans"].as_array().unwrap().len(), 2);
        assert!(matches!(store.get_trace("tr-0").await, Err(TrackingError::NotFound { .. })));
    }
}
