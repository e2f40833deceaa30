use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[derive(Default)]
struct InMemory {
    experiments: Mutex<Vec<Experiment>>,
    asked: AtomicUsize,
    failing: bool,
}

impl InMemory {
    fn with(name: &str, id: i64, deleted: bool) -> Self {
        let experiment = Experiment { id, name: name.to_owned(), artifact_location: None, deleted };
        Self { experiments: Mutex::new(vec![experiment]), ..Self::default() }
    }
}

impl ExperimentDirectory for InMemory {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Experiment>, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.failing {
                return Err(StoreError::retry("the server is down"));
            }
            Ok(self.experiments.lock().unwrap().iter().find(|known| known.name == name).cloned())
        })
    }

    fn get(&self, id: i64) -> BoxFuture<'_, Result<Option<Experiment>, StoreError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Ok(self.experiments.lock().unwrap().iter().find(|known| known.id == id).cloned())
        })
    }

    fn create<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Experiment, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut experiments = self.experiments.lock().unwrap();
            let id = 1 + i64::try_from(experiments.len()).unwrap();
            experiments.push(Experiment {
                id,
                name: name.to_owned(),
                artifact_location: None,
                deleted: false,
            });
            Ok(experiments.last().unwrap().clone())
        })
    }
}

fn resolver(directory: InMemory, options: ResolverOptions) -> (Arc<InMemory>, ExperimentResolver) {
    let directory = Arc::new(directory);
    (Arc::clone(&directory), ExperimentResolver::new(directory, options))
}

#[tokio::test]
async fn a_name_asked_for_many_times_at_once_is_created_once() {
    let (directory, resolver) = resolver(InMemory::default(), ResolverOptions::default());
    let ids = futures_util::future::join_all((0..20).map(|_| resolver.by_name("chat"))).await;
    let ids: Vec<_> = ids.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|resolved| resolved.id == 1 && resolved.fallback.is_none()));
    assert_eq!(ids.iter().filter(|resolved| resolved.created).count(), 1);
    assert_eq!(directory.experiments.lock().unwrap().len(), 1);
    assert_eq!(directory.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn beyond_the_limit_the_fallback_is_used() {
    let options = ResolverOptions { create: true, max_created: 2, fallback: Some(7) };
    let (directory, resolver) = resolver(InMemory::default(), options);
    for name in ["a", "b", "c", "a"] {
        let resolved = resolver.by_name(name).await.unwrap();
        assert_eq!(resolved.fallback, (name == "c").then_some(FallbackCause::TooManyCreated));
        assert_eq!(resolved.id == 7, name == "c");
    }
    assert_eq!(directory.experiments.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_deleted_experiment_is_refused_by_name() {
    let (_, resolver) = resolver(InMemory::with("old", 3, true), ResolverOptions::default());
    let refused = resolver.by_name("old").await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Reject { reason } if reason.contains("'old' is deleted")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_missing_experiment_is_refused_where_none_may_be_created() {
    let options = ResolverOptions { create: false, ..ResolverOptions::default() };
    let (_, resolver) = resolver(InMemory::default(), options);
    let refused = resolver.by_name("new").await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Reject { reason } if reason.contains("does not exist")),
        "{refused}"
    );
}

#[tokio::test]
async fn impossible_names_never_reach_the_directory() {
    let (directory, resolver) = resolver(InMemory::default(), ResolverOptions::default());
    for name in ["", "a\0b", &"x".repeat(257)] {
        assert!(matches!(resolver.by_name(name).await, Err(StoreError::Reject { .. })));
    }
    assert_eq!(directory.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_failing_directory_is_asked_again() {
    let (directory, resolver) =
        resolver(InMemory { failing: true, ..InMemory::default() }, ResolverOptions::default());
    for _ in 0..2 {
        assert!(resolver.by_name("chat").await.unwrap_err().is_retryable());
    }
    assert_eq!(directory.asked.load(Ordering::Relaxed), 2);
}

/// Scenario: a sender names an id that was never one, or not on this server; its traces are not lost, and nobody
/// else waits for them.
#[tokio::test]
async fn an_id_that_nothing_has_is_the_fallback_and_looked_up_once() {
    let options = ResolverOptions { fallback: Some(5), ..ResolverOptions::default() };
    let (directory, resolver) = resolver(InMemory::with("chat", 3, true), options);
    for _ in 0..2 {
        let unknown = resolver.by_id(999).await.unwrap();
        assert_eq!((unknown.id, unknown.fallback), (5, Some(FallbackCause::UnknownId)));
        let known = resolver.by_id(3).await.unwrap();
        assert_eq!((known.id, known.fallback), (3, None), "MLflow writes into deleted ones, too");
    }
    assert_eq!(directory.asked.load(Ordering::Relaxed), 2);
}
