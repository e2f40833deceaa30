//! Experiments, runs, and what is logged to them.

use super::*;
use crate::mlflow::entities::{Dataset, Lifecycle, RunStatus};

#[tokio::test]
async fn experiments_are_created_once_and_read_back() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let new = NewExperiment {
            name: "chat".to_owned(),
            artifact_location: None,
            tags: vec![Tag::new("team", "a")],
        };
        let id = store.create_experiment(new.clone()).await.unwrap();
        assert!(matches!(store.create_experiment(new).await, Err(TrackingError::AlreadyExists { .. })));
        store.set_experiment_tag(&id, Tag::new("team", "b")).await.unwrap();
        let found = store.get_experiment(&id).await.unwrap();
        assert_eq!(found.artifact_location, format!("mlflow-artifacts:/{id}"));
        assert_eq!(found.tags, [Tag::new("team", "b")]);
        assert_eq!(found.creation_time_ms, found.last_update_time_ms);
        assert_eq!(store.find_experiment("chat").await.unwrap(), Some(found));
        assert_eq!(store.find_experiment("other").await.unwrap(), None);
        assert!(matches!(store.get_experiment("77").await, Err(TrackingError::NotFound { .. })));
        fresh.run("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'chat'").await;
        let gone = NewRun { experiment_id: id, ..new_run() };
        assert!(matches!(store.create_run(gone).await, Err(TrackingError::Deleted { .. })));
    }
}

#[tokio::test]
async fn a_run_becomes_the_rows_of_mlflow() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let run = store.create_run_once(RUN, new_run()).await.unwrap();
        assert_eq!(run.info.artifact_uri, format!("mlflow-artifacts:/0/{RUN}/artifacts"));
        assert_eq!(
            fresh.rows("SELECT * FROM runs").await,
            [format!(
                "{RUN}|first|UNKNOWN|||ada|RUNNING|1000|NULL||active|mlflow-artifacts:/0/{RUN}/artifacts|0|NULL"
            )]
        );
        let ended = RunUpdate {
            status: Some(RunStatus::Finished),
            end_time_ms: Some(2_000),
            name: Some("second".to_owned()),
        };
        let info = store.update_run(RUN, ended).await.unwrap();
        assert_eq!((info.status, info.end_time_ms), (RunStatus::Finished, Some(2_000)));
        let run = store.get_run(RUN).await.unwrap();
        assert_eq!(run.info, info);
        assert_eq!(run.data.tags, [Tag::new("mlflow.runName", "second"), Tag::new("team", "a")]);
        assert!(matches!(store.get_run("x").await, Err(TrackingError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_run_without_a_name_gets_one_and_its_tag() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let run = store.create_run(NewRun { name: None, ..new_run() }).await.unwrap();
        assert!(!run.info.name.is_empty());
        assert_eq!(run.tag("mlflow.runName"), Some(run.info.name.as_str()));
        let tags = vec![Tag::new("mlflow.runName", "tagged")];
        let both = NewRun { tags: tags.clone(), ..new_run() };
        assert!(matches!(store.create_run(both).await, Err(TrackingError::Invalid { .. })));
        let tagged = store.create_run(NewRun { name: None, tags, ..new_run() }).await.unwrap();
        assert_eq!(tagged.info.name, "tagged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_given_id_is_created_once_however_many_ask() {
    for fresh in Fresh::all().await {
        let stores = [fresh.open().await, fresh.open().await];
        let asked = (0..20).map(|number| {
            let new =
                NewRun { start_time_ms: number, tags: vec![Tag::new(format!("t{number}"), "")], ..new_run() };
            stores[number as usize % 2].create_run_once(RUN, new)
        });
        let runs: Vec<_> =
            futures_util::future::join_all(asked).await.into_iter().collect::<Result<_, _>>().unwrap();
        assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
        assert_eq!(fresh.rows("SELECT count(*) FROM runs").await, ["1"]);
        assert_eq!(fresh.rows("SELECT count(*) FROM tags").await, ["2"]);
        assert!(matches!(
            stores[0].create_run_once("r1", new_run()).await,
            Err(TrackingError::Invalid { .. })
        ));
    }
}

#[tokio::test]
async fn metrics_keep_their_history_and_the_latest() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        let first =
            metrics(vec![metric("acc", 0.5, 1, 0), metric("acc", 0.7, 3, 1), metric("acc", 0.6, 2, 1)]);
        store.log_batch(RUN, first.clone()).await.unwrap();
        assert_eq!(store.get_run(RUN).await.unwrap().metric("acc"), Some(0.7));
        // An earlier step comes late, and the first call is repeated.
        store.log_batch(RUN, metrics(vec![metric("acc", 0.9, 9, 0)])).await.unwrap();
        store.log_batch(RUN, first).await.unwrap();
        assert_eq!(store.get_run(RUN).await.unwrap().metric("acc"), Some(0.7));
        store.log_batch(RUN, metrics(vec![metric("acc", 0.8, 3, 1)])).await.unwrap();
        assert_eq!(store.get_run(RUN).await.unwrap().metric("acc"), Some(0.8));
        let history = store.metric_history(RUN, "acc").await.unwrap();
        let values: Vec<_> = history.iter().map(|metric| metric.value).collect();
        assert_eq!(values, [0.5, 0.6, 0.7, 0.8, 0.9]);
        assert_eq!(store.metric_history(RUN, "none").await.unwrap(), []);
    }
}

#[tokio::test]
async fn odd_numbers_are_stored_as_mlflow_stores_them() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        let odd = [("nan", f64::NAN), ("inf", f64::INFINITY), ("ninf", f64::NEG_INFINITY)];
        let odd = odd.map(|(key, value)| metric(key, value, 1, 0)).to_vec();
        store.log_batch(RUN, metrics(odd)).await.unwrap();
        let run = store.get_run(RUN).await.unwrap();
        assert!(run.metric("nan").unwrap().is_nan());
        assert_eq!(run.metric("inf"), Some(f64::MAX));
        assert_eq!(run.metric("ninf"), Some(f64::MIN));
        let marked = "SELECT count(*) FROM metrics WHERE key = 'nan' AND value = 0 AND is_nan";
        assert_eq!(fresh.rows(marked).await, ["1"]);
    }
}

#[tokio::test]
async fn a_param_is_set_once_and_a_refused_call_leaves_nothing() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        let batch = LogBatch { params: vec![param("lr", "0.1")], ..LogBatch::default() };
        store.log_batch(RUN, batch.clone()).await.unwrap();
        store.log_batch(RUN, batch).await.unwrap();
        let changed = LogBatch {
            metrics: vec![metric("m", 1.0, 1, 0)],
            params: vec![param("lr", "0.2"), param("new", "1")],
            tags: vec![Tag::new("t", "v")],
        };
        let refused = store.log_batch(RUN, changed).await;
        assert!(matches!(refused, Err(TrackingError::Invalid { .. })), "{refused:?}");
        let run = store.get_run(RUN).await.unwrap();
        assert_eq!((run.data.params.len(), run.data.metrics.len(), run.tag("t")), (1, 0, None));
        let twice = LogBatch { params: vec![param("a", "1"), param("a", "2")], ..LogBatch::default() };
        assert!(matches!(store.log_batch(RUN, twice).await, Err(TrackingError::Invalid { .. })));
    }
}

#[tokio::test]
async fn tags_of_a_run_are_replaced_and_removed() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        let tags = ["team=b", "team=c", "mlflow.runName=", "mlflow.runName=renamed"];
        let tags = tags.iter().filter_map(|tag| tag.split_once('=')).map(|(key, value)| Tag::new(key, value));
        store.log_batch(RUN, LogBatch { tags: tags.collect(), ..LogBatch::default() }).await.unwrap();
        let run = store.get_run(RUN).await.unwrap();
        assert_eq!((run.info.name.as_str(), run.tag("team")), ("renamed", Some("c")));
        store.delete_tag(RUN, "team").await.unwrap();
        assert!(matches!(store.delete_tag(RUN, "team").await, Err(TrackingError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        store.set_run_deleted(RUN, true).await.unwrap();
        assert_eq!(store.get_run(RUN).await.unwrap().info.lifecycle, Lifecycle::Deleted);
        let refused = store.log_batch(RUN, metrics(vec![metric("m", 1.0, 1, 0)])).await;
        assert!(matches!(refused, Err(TrackingError::Deleted { .. })), "{refused:?}");
        assert_eq!(fresh.rows("SELECT count(*) FROM runs WHERE deleted_time IS NOT NULL").await, ["1"]);
        store.set_run_deleted(RUN, false).await.unwrap();
        store.log_batch(RUN, metrics(vec![metric("m", 1.0, 1, 0)])).await.unwrap();
        assert!(matches!(store.set_run_deleted("x", true).await, Err(TrackingError::NotFound { .. })));
    }
}

#[tokio::test]
async fn the_datasets_and_models_of_a_run_are_noted_once() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_run_once(RUN, new_run()).await.unwrap();
        let dataset = Dataset {
            name: "d".to_owned(),
            digest: "abc".to_owned(),
            source_type: "code".to_owned(),
            source: "{}".to_owned(),
            schema: None,
            profile: Some("{\"num_rows\": 2}".to_owned()),
        };
        let input = DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", "eval")] };
        let model = ModelInput { model_id: "m-1".to_owned() };
        for _ in 0..2 {
            store.log_inputs(RUN, vec![input.clone()], vec![model.clone()]).await.unwrap();
            let output = ModelOutput { model_id: "m-2".to_owned(), step: 3 };
            store.log_outputs(RUN, vec![output]).await.unwrap();
        }
        let run = store.get_run(RUN).await.unwrap();
        assert_eq!((run.inputs.datasets, run.inputs.models), (vec![input], vec![model]));
        assert_eq!(
            fresh.rows("SELECT source_type, destination_type, step FROM inputs ORDER BY source_type").await,
            ["DATASET|RUN|0", "RUN_INPUT|MODEL_INPUT|0", "RUN_OUTPUT|MODEL_OUTPUT|3"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_run_lose_nothing() {
    for fresh in Fresh::all().await {
        let stores = [fresh.open().await, fresh.open().await];
        stores[0].create_run_once(RUN, new_run()).await.unwrap();
        let calls = (0..40).map(|number: i64| {
            // Each in an order of its own.
            let keys = if number % 2 == 0 { ["a", "b", "c"] } else { ["c", "b", "a"] };
            let batch = LogBatch {
                metrics: keys.iter().map(|key| metric(key, number as f64, 1, number)).collect(),
                params: keys.iter().map(|key| param(key, "same")).collect(),
                tags: keys.iter().map(|key| Tag::new(*key, number.to_string())).collect(),
            };
            stores[number as usize % 2].log_batch(RUN, batch)
        });
        for outcome in futures_util::future::join_all(calls).await {
            outcome.unwrap();
        }
        let run = stores[1].get_run(RUN).await.unwrap();
        assert_eq!((run.metric("a"), run.metric("c")), (Some(39.0), Some(39.0)));
        assert_eq!(fresh.rows("SELECT count(*) FROM metrics").await, ["120"]);
    }
}
