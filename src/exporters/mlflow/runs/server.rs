//! Runs on an MLflow server: the server picks ids, so runs are found by a tag of ours.

use super::backend::RunBackend;
use super::files::Files;
use crate::mapping::runs::{Evaluation, RunKey, StoredRunTrace, TraceVersion};
use crate::mlflow::entities::{Lifecycle, LogBatch, NewRun, Run, RunInfo, Search, Tag, ViewType};
use crate::semconv::otel_mlflow::{EVALUATION_KEY, RUN_KEY, RUN_REPLACED_BY};
use crate::store::rest::RestStore;
use crate::store::tracking::{Answer, TrackingError, TrackingStore};

/// Traces that are linked in one go.
const LINKS: usize = 1_000;

/// A server.
pub(in crate::exporters::mlflow) struct ServerBackend {
    pub(in crate::exporters::mlflow) store: RestStore,
}

impl RunBackend for ServerBackend {
    fn tracking(&self) -> &dyn TrackingStore {
        &self.store
    }

    fn ensure<'a>(&'a self, key: &'a RunKey, new: NewRun) -> Answer<'a, String> {
        Box::pin(self.find_or_create(key, new))
    }

    fn settle<'a>(&'a self, run_id: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(self.winner_instead_of(run_id))
    }

    fn traces<'a>(&'a self, run: &'a RunInfo) -> Answer<'a, Vec<TraceVersion>> {
        Box::pin(self.store.run_traces(&run.experiment_id, &run.run_id))
    }

    fn stored(&self, trace_ids: Vec<String>) -> Answer<'_, Vec<StoredRunTrace>> {
        Box::pin(self.store.stored_run_traces(trace_ids))
    }

    fn open_runs(&self, most: usize) -> Answer<'_, Vec<String>> {
        Box::pin(self.search_open(most))
    }

    fn put_file<'a>(&'a self, run: &'a RunInfo, name: &'a str, text: String) -> Answer<'a, bool> {
        Box::pin(async move {
            match Files::of(&run.artifact_uri, None) {
                Files::Proxied(path) => {
                    self.store.put_artifact(&format!("{path}/{name}"), text).await.map(|()| true)
                }
                // A path of a server is one on its machine, not on this one.
                Files::Local(_) | Files::Elsewhere => Ok(false),
            }
        })
    }

    fn assess(&self, evaluation: Evaluation) -> Answer<'_, ()> {
        Box::pin(self.assess_once(evaluation))
    }
}

impl ServerBackend {
    async fn find_or_create(&self, key: &RunKey, new: NewRun) -> Result<String, TrackingError> {
        let (mark, experiment_id) = (key.run_id(), new.experiment_id.clone());
        if let Some(run) = self.marked(&experiment_id, &mark, ViewType::ActiveOnly).await?.into_iter().next()
        {
            return Ok(run.info.run_id);
        }
        let created = self.store.create_run(new).await?.info.run_id;
        // Another gateway may have done the same in this moment; the one that looks last sees both.
        let winner = self.marked(&experiment_id, &mark, ViewType::ActiveOnly).await?.into_iter().next();
        let Some(winner) = winner.map(|run| run.info.run_id).filter(|id| *id != created) else {
            return Ok(created);
        };
        self.retire(&created, &winner).await?;
        Ok(winner)
    }

    /// Deletes a run in whose place another one is. The tag tells it from one that a user deleted.
    async fn retire(&self, loser: &str, winner: &str) -> Result<(), TrackingError> {
        let tags = vec![Tag::new(RUN_REPLACED_BY, winner)];
        self.store.log_batch(loser, LogBatch { tags, ..LogBatch::default() }).await?;
        self.store.set_run_deleted(loser, true).await
    }

    /// The runs with this mark, the one that stays first: the oldest, or else the one with the smaller id.
    async fn marked(
        &self,
        experiment_id: &str,
        mark: &str,
        view: ViewType,
    ) -> Result<Vec<Run>, TrackingError> {
        let search = Search {
            experiment_ids: vec![experiment_id.to_owned()],
            filter: Some(format!("tags.`{RUN_KEY}` = '{mark}'")),
            max_results: Some(100),
            view,
            ..Search::default()
        };
        let mut runs = self.store.search_runs(search).await?.items;
        runs.sort_by(|left, right| {
            let order = |run: &Run| run.info.start_time_ms;
            (order(left), &left.info.run_id).cmp(&(order(right), &right.info.run_id))
        });
        Ok(runs)
    }

    /// Moves the traces of all runs with one mark to the one that stays, and deletes the others. A gateway
    /// may still link traces to a run that another has deleted, so those are looked through, too.
    async fn winner_instead_of(&self, run_id: &str) -> Result<Option<String>, TrackingError> {
        let run = self.store.get_run(run_id).await?;
        let Some(mark) = run.tag(RUN_KEY).map(str::to_owned) else { return Ok(None) };
        let marked = self.marked(&run.info.experiment_id, &mark, ViewType::All).await?;
        let is_active = |run: &&Run| run.info.lifecycle == Lifecycle::Active;
        let Some(winner) = marked.iter().find(is_active).map(|run| run.info.run_id.clone()) else {
            return Ok(None);
        };
        let others = marked.iter().filter(|run| run.info.run_id != winner);
        for loser in others.filter(|run| is_active(run) || run.tag(RUN_REPLACED_BY).is_some()) {
            let traces = self.store.run_traces(&loser.info.experiment_id, &loser.info.run_id).await?;
            let ids: Vec<String> = traces.into_iter().map(|trace| trace.trace_id).collect();
            for some in ids.chunks(LINKS) {
                self.store.link_traces(&winner, some).await?;
            }
            if is_active(&loser) {
                self.retire(&loser.info.run_id, &winner).await?;
            }
        }
        Ok(Some(winner).filter(|winner| winner != run_id))
    }

    async fn search_open(&self, most: usize) -> Result<Vec<String>, TrackingError> {
        let all = Search { max_results: Some(1_000), ..Search::default() };
        let experiments = self.store.search_experiments(all).await?.items;
        let experiment_ids = experiments.into_iter().map(|experiment| experiment.experiment_id).collect();
        let search = Search {
            experiment_ids,
            filter: Some(format!("attributes.status = 'RUNNING' AND tags.`{RUN_KEY}` LIKE '%'")),
            max_results: Some(u32::try_from(most).unwrap_or(u32::MAX).min(10_000)),
            ..Search::default()
        };
        let found = self.store.search_runs(search).await?.items;
        Ok(found.into_iter().map(|run| run.info.run_id).collect())
    }

    /// Looks before and after: of two gateways that did the same in one moment, the assessment with the
    /// smaller id stays.
    async fn assess_once(&self, evaluation: Evaluation) -> Result<(), TrackingError> {
        let trace_id = evaluation.assessment.trace_id.clone();
        let ours = async || -> Result<Vec<String>, TrackingError> {
            let all = self.store.assessments(&trace_id).await?;
            let same = all.into_iter().filter(|assessment| {
                let key = assessment.content.metadata.get(EVALUATION_KEY);
                key.and_then(|key| key.as_str()) == Some(&evaluation.id)
            });
            let mut ids: Vec<String> = same.map(|assessment| assessment.assessment_id).collect();
            ids.sort();
            Ok(ids)
        };
        match ours().await {
            Ok(found) if !found.is_empty() => return Ok(()),
            // Its trace was refused, which its sender has heard.
            Err(TrackingError::NotFound { .. }) => return Ok(()),
            found => found?,
        };
        self.store.create_assessment(evaluation.assessment.clone()).await?;
        for surplus in ours().await?.iter().skip(1) {
            self.store.delete_assessment(&trace_id, surplus).await?;
        }
        Ok(())
    }
}
