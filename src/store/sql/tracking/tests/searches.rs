//! Searches: what is found, in which order, page by page.

use super::*;
use crate::mlflow::entities::ViewType;

fn search(filter: &str) -> Search {
    Search { experiment_ids: vec!["0".to_owned()], filter: Some(filter.to_owned()), ..Search::default() }
}

/// Five runs, of which each started later than the one before.
async fn five_runs(store: &SqlStore) {
    for number in 0..5 {
        let new = NewRun {
            name: Some(format!("run {number}")),
            start_time_ms: number,
            tags: vec![Tag::new("odd.even", if number % 2 == 0 { "even" } else { "odd" })],
            ..new_run()
        };
        let run = store.create_run(new).await.unwrap();
        let batch = LogBatch {
            metrics: vec![metric("acc", 1.0 - number as f64 / 10.0, 1, 0)],
            params: vec![param("lr", &number.to_string())],
            tags: Vec::new(),
        };
        store.log_batch(&run.info.run_id, batch).await.unwrap();
        if number == 4 {
            store.set_run_deleted(&run.info.run_id, true).await.unwrap();
        }
    }
}

fn names(page: &Page<Run>) -> Vec<&str> {
    page.items.iter().map(|run| run.info.name.trim_start_matches("run ")).collect()
}

#[tokio::test]
async fn runs_are_found_newest_first_and_page_by_page() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        five_runs(&store).await;
        let all = store.search_runs(search("")).await.unwrap();
        assert_eq!((names(&all), &all.next_page_token), (vec!["3", "2", "1", "0"], &None));
        let first = Search { max_results: Some(3), view: ViewType::All, ..search("") };
        let page = store.search_runs(first.clone()).await.unwrap();
        assert_eq!(names(&page), ["4", "3", "2"]);
        let rest = Search { page_token: page.next_page_token, ..first };
        let page = store.search_runs(rest).await.unwrap();
        assert_eq!((names(&page), &page.next_page_token), (vec!["1", "0"], &None));
        let deleted = Search { view: ViewType::DeletedOnly, ..search("") };
        assert_eq!(names(&store.search_runs(deleted).await.unwrap()), ["4"]);
        let elsewhere = Search { experiment_ids: vec!["7".to_owned()], ..search("") };
        assert_eq!(store.search_runs(elsewhere).await.unwrap().items, []);
        assert_eq!(store.search_runs(Search::default()).await.unwrap().items, []);
    }
}

#[tokio::test]
async fn runs_are_found_by_what_is_known_of_them() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        five_runs(&store).await;
        for (filter, expected) in [
            ("tags.odd.even = 'odd'", vec!["3", "1"]),
            ("tags.`odd.even` != 'odd' AND metrics.acc > 0.9", vec!["0"]),
            ("params.lr = '2' and attributes.status = 'RUNNING'", vec!["2"]),
            ("run_name = 'run 1'", vec!["1"]),
            ("attributes.start_time >= 2", vec!["3", "2"]),
            ("metrics.acc = 1", vec!["0"]),
            ("tags.none = 'x'", vec![]),
            ("tags.odd.even = 'o''", vec!["refused"]),
        ] {
            let found = store.search_runs(search(filter)).await;
            if expected == ["refused"] {
                assert!(matches!(found, Err(TrackingError::Unsupported { .. })), "{filter}: {found:?}");
            } else {
                assert_eq!(names(&found.unwrap()), expected, "{filter}");
            }
        }
        let by_metric = Search { order_by: vec!["metrics.acc ASC".to_owned()], ..search("") };
        assert_eq!(names(&store.search_runs(by_metric).await.unwrap()), ["3", "2", "1", "0"]);
        let by_name = Search { order_by: vec!["attributes.run_name".to_owned()], ..search("") };
        assert_eq!(names(&store.search_runs(by_name).await.unwrap()), ["0", "1", "2", "3"]);
        let unknown = Search { order_by: vec!["shape.x".to_owned()], ..search("") };
        assert!(matches!(store.search_runs(unknown).await, Err(TrackingError::Unsupported { .. })));
        let odd = Search { page_token: Some("x".to_owned()), ..search("") };
        assert!(matches!(store.search_runs(odd).await, Err(TrackingError::Invalid { .. })));
    }
}

#[tokio::test]
async fn the_registry_shows_prompts_to_those_who_ask_for_them() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let prompt = vec![Tag::new("mlflow.prompt.is_prompt", "true")];
        for (name, tags) in [("model", Vec::new()), ("prompt", prompt)] {
            store.create_registered_model(name, None, tags.clone()).await.unwrap();
            let new = NewModelVersion {
                name: name.to_owned(),
                source: "x".to_owned(),
                tags,
                ..NewModelVersion::default()
            };
            store.create_model_version(new).await.unwrap();
        }
        for (filter, expected) in [
            ("", "model"),
            ("name = 'model'", "model"),
            ("tags.`mlflow.prompt.is_prompt` = 'true'", "prompt"),
        ] {
            let models = store.search_registered_models(search(filter)).await.unwrap();
            let models: Vec<_> = models.items.iter().map(|model| model.name.as_str()).collect();
            assert_eq!(models, [expected], "{filter}");
            let versions = store.search_model_versions(search(filter)).await.unwrap();
            let versions: Vec<_> = versions.items.iter().map(|version| version.name.as_str()).collect();
            assert_eq!(versions, [expected], "{filter}");
        }
    }
}

#[tokio::test]
async fn experiments_models_and_traces_are_found() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let new = NewExperiment {
            name: "chat".to_owned(),
            tags: vec![Tag::new("a", "b")],
            ..NewExperiment::default()
        };
        let id = store.create_experiment(new).await.unwrap();
        let found = store.search_experiments(search("tags.a = 'b'")).await.unwrap();
        assert_eq!(found.items.iter().map(|found| &found.experiment_id).collect::<Vec<_>>(), [&id]);
        assert_eq!(store.search_experiments(Search::default()).await.unwrap().items.len(), 2);
        let model = NewLoggedModel { experiment_id: "0".to_owned(), ..NewLoggedModel::default() };
        let model = store.create_logged_model(model).await.unwrap();
        let by_name = format!("name = '{}'", model.name);
        assert_eq!(store.search_logged_models(search(&by_name)).await.unwrap().items, [model]);
        store.write(vec![update(&trace(1), 1), update(&trace(2), 1)]).await.unwrap();
        store.link_traces(RUN, &[trace(2)]).await.unwrap();
        for (filter, expected) in [("", 2), ("tags.service.name = 'shop'", 2), ("run_id = '0'", 0)] {
            assert_eq!(store.search_traces(search(filter)).await.unwrap().items.len(), expected, "{filter}");
        }
        let linked = store.search_traces(search(&format!("attributes.run_id = '{RUN}'"))).await.unwrap();
        assert_eq!(linked.items.len(), 1);
        assert_eq!(linked.items[0]["trace_id"], trace(2).as_str());
    }
}
