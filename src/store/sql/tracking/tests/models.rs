//! Logged models and the registry.

use super::*;
use crate::mlflow::entities::LoggedModelStatus;

fn new_model() -> NewLoggedModel {
    NewLoggedModel {
        experiment_id: "0".to_owned(),
        name: Some("chat".to_owned()),
        model_type: Some("chat".to_owned()),
        source_run_id: Some(RUN.to_owned()),
        params: vec![param("p", "1")],
        tags: vec![Tag::new("t", "1")],
    }
}

fn new_version(source: &str) -> NewModelVersion {
    NewModelVersion { name: "auto".to_owned(), source: source.to_owned(), ..NewModelVersion::default() }
}

#[tokio::test]
async fn a_logged_model_is_created_filled_and_finished() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let model = store.create_logged_model(new_model()).await.unwrap();
        let id = model.model_id.clone();
        assert_eq!(model.artifact_uri, format!("mlflow-artifacts:/0/models/{id}/artifacts"));
        assert_eq!(model.status, LoggedModelStatus::Pending);
        let more = vec![param("q", "2"), param("p", "1")];
        store.log_model_params(&id, more.clone()).await.unwrap();
        store.log_model_params(&id, more).await.unwrap();
        let changed = store.log_model_params(&id, vec![param("p", "2")]).await;
        assert!(matches!(changed, Err(TrackingError::Invalid { .. })), "{changed:?}");
        let tags = vec![Tag::new("t", "2"), Tag::new("u", "3")];
        store.set_logged_model_tags(&id, tags.clone()).await.unwrap();
        let model = store.finish_logged_model(&id, LoggedModelStatus::Ready).await.unwrap();
        assert_eq!(model.status, LoggedModelStatus::Ready);
        assert_eq!((model.params.len(), &model.tags), (2, &tags));
        assert_eq!(store.get_logged_model(&id).await.unwrap(), model);
        let odd = NewLoggedModel { name: Some("a/b".to_owned()), ..new_model() };
        assert!(matches!(store.create_logged_model(odd).await, Err(TrackingError::Invalid { .. })));
        assert!(matches!(store.get_logged_model("m-0").await, Err(TrackingError::NotFound { .. })));
        fresh.run("UPDATE logged_models SET lifecycle_stage = 'deleted'").await;
        assert!(matches!(store.get_logged_model(&id).await, Err(TrackingError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_version_knows_its_model_and_the_model_its_version() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let model = store.create_logged_model(new_model()).await.unwrap();
        let missing = store.create_model_version(new_version("s3://b/x")).await;
        assert!(matches!(missing, Err(TrackingError::NotFound { .. })), "{missing:?}");
        let named = store.create_registered_model("auto", Some("d"), vec![Tag::new("a", "b")]).await.unwrap();
        assert_eq!(named.description.as_deref(), Some("d"));
        let again = store.create_registered_model("auto", None, Vec::new()).await;
        assert!(matches!(again, Err(TrackingError::AlreadyExists { .. })), "{again:?}");
        fresh.run("UPDATE registered_models SET last_updated_time = 1").await;
        let new = NewModelVersion {
            tags: vec![Tag::new("q", "w")],
            ..new_version(&format!("models:/{}", model.model_id))
        };
        let version = store.create_model_version(new).await.unwrap();
        assert_eq!((version.version.as_str(), version.run_id.as_deref()), ("1", Some(RUN)));
        assert_eq!((version.status.as_str(), &version.model_id), ("READY", &Some(model.model_id.clone())));
        assert!(store.get_registered_model("auto").await.unwrap().last_updated_time_ms > 1);
        assert_eq!(
            fresh
                .rows(
                    "SELECT current_stage, storage_location, workspace, user_id, run_link FROM model_versions"
                )
                .await,
            [format!("None|{}|default|NULL|", model.artifact_uri)]
        );
        let tagged = store.get_logged_model(&model.model_id).await.unwrap();
        assert!(
            tagged.tags.contains(&Tag::new("mlflow.modelVersions", r#"[{"name": "auto", "version": 1}]"#))
        );
    }
}

#[tokio::test]
async fn an_alias_stands_for_a_version() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_registered_model("auto", None, Vec::new()).await.unwrap();
        for _ in 0..2 {
            store.create_model_version(new_version("s3://b/x")).await.unwrap();
        }
        store.set_alias("auto", "champion", "1").await.unwrap();
        store.set_alias("auto", "champion", "2").await.unwrap();
        store.set_model_version_tag("auto", "2", Tag::new("k", "v")).await.unwrap();
        store.set_registered_model_tag("auto", Tag::new("k", "w")).await.unwrap();
        let version = store.get_model_version_by_alias("auto", "champion").await.unwrap();
        assert_eq!((version.version.as_str(), &version.aliases[..]), ("2", &["champion".to_owned()][..]));
        assert_eq!(version.tags, [Tag::new("k", "v")]);
        let model = store.get_registered_model("auto").await.unwrap();
        assert_eq!(model.aliases, [("champion".to_owned(), "2".to_owned())]);
        assert_eq!(model.tags, [Tag::new("k", "w")]);
        // A version of a version has its files.
        let third = store.create_model_version(new_version("models:/auto@champion")).await.unwrap();
        assert_eq!((third.version.as_str(), third.source.as_str()), ("3", "models:/auto/2"));
        let place = "SELECT storage_location FROM model_versions WHERE version = 3";
        assert_eq!(fresh.rows(place).await, ["s3://b/x"]);
        assert!(matches!(store.set_alias("auto", "x", "9").await, Err(TrackingError::NotFound { .. })));
        assert!(matches!(store.set_alias("auto", "v1", "1").await, Err(TrackingError::Invalid { .. })));
        store.delete_alias("auto", "champion").await.unwrap();
        store.delete_alias("auto", "champion").await.unwrap();
        let gone = store.get_model_version_by_alias("auto", "champion").await;
        assert!(matches!(gone, Err(TrackingError::NotFound { .. })), "{gone:?}");
    }
}

#[tokio::test]
async fn the_number_of_a_deleted_version_is_not_used_again() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.create_registered_model("auto", None, Vec::new()).await.unwrap();
        store.create_model_version(new_version("s3://b/x")).await.unwrap();
        fresh.run("UPDATE model_versions SET current_stage = 'Deleted_Internal'").await;
        assert!(matches!(store.get_model_version("auto", "1").await, Err(TrackingError::NotFound { .. })));
        assert_eq!(store.create_model_version(new_version("s3://b/x")).await.unwrap().version, "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_made_at_once_have_numbers_of_their_own() {
    for fresh in Fresh::all().await {
        let stores = [fresh.open().await, fresh.open().await];
        stores[0].create_registered_model("auto", None, Vec::new()).await.unwrap();
        let made = (0..20).map(|number| stores[number % 2].create_model_version(new_version("s3://b/x")));
        let made = futures_util::future::join_all(made).await;
        let mut numbers: Vec<u32> =
            made.into_iter().map(|made| made.unwrap().version.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    }
}
