//! Experiments.

use super::{Client, TrackingError, paging};
use crate::mlflow::entities::{Experiment, Lifecycle, NewExperiment, Search, Tag};

/// MLflow's experiment `Default`.
const DEFAULT_EXPERIMENT: &str = "0";

impl Client {
    /// Creates an experiment and gives its id.
    ///
    /// # Errors
    ///
    /// [`TrackingError::AlreadyExists`] if one has the name, even a deleted one.
    pub async fn create_experiment(&self, new: NewExperiment) -> Result<String, TrackingError> {
        self.store().create_experiment(new).await
    }

    /// An experiment, active or deleted.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn get_experiment(&self, experiment_id: &str) -> Result<Experiment, TrackingError> {
        self.store().get_experiment(experiment_id).await
    }

    /// An experiment by its name, active or deleted.
    ///
    /// # Errors
    ///
    /// As every call: see [`TrackingError`].
    pub async fn find_experiment(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        self.store().find_experiment(name).await
    }

    /// The experiment of this name, created if there is none.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Deleted`] if it is in the recycle bin.
    pub async fn experiment(&self, name: &str) -> Result<Experiment, TrackingError> {
        if let Some(found) = self.store().find_experiment(name).await? {
            return in_use(found);
        }
        let new = NewExperiment { name: name.to_owned(), ..NewExperiment::default() };
        match self.store().create_experiment(new).await {
            Ok(id) => self.store().get_experiment(&id).await,
            // Somebody else was faster.
            Err(TrackingError::AlreadyExists { message }) => {
                match self.store().find_experiment(name).await? {
                    Some(found) => in_use(found),
                    None => Err(TrackingError::AlreadyExists { message }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// All experiments that a search finds; `max_results` is the most that come back.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand.
    pub async fn search_experiments(&self, search: Search) -> Result<Vec<Experiment>, TrackingError> {
        paging::all(search, |search| self.store().search_experiments(search)).await
    }

    /// Sets a tag of an experiment.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown experiment, [`TrackingError::Invalid`] for a value
    /// that is too long (MLflow 3 takes 20,000 characters, MLflow 2 takes 5,000).
    pub async fn set_experiment_tag(
        &self,
        experiment_id: &str,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        self.store().set_experiment_tag(experiment_id, Tag::new(key, value)).await
    }

    /// The experiment of runs that name none: the one that the client was connected with, else
    /// MLflow's `Default`. Asked for once.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if the id is unknown, [`TrackingError::Deleted`] if it is in the
    /// recycle bin, and [`TrackingError::Configuration`] if name and id are two different ones.
    pub async fn default_experiment_id(&self) -> Result<String, TrackingError> {
        self.start().found.get_or_try_init(|| self.look_up_start()).await.cloned()
    }

    async fn look_up_start(&self) -> Result<String, TrackingError> {
        let (name, id) = (self.start().name.as_deref(), self.start().id.as_deref());
        let Some(name) = name else {
            let id = id.unwrap_or(DEFAULT_EXPERIMENT);
            return in_use(self.get_experiment(id).await?).map(|found| found.experiment_id);
        };
        let found = self.experiment(name).await?;
        match id {
            Some(id) if id != found.experiment_id => Err(TrackingError::Configuration {
                message: format!(
                    "the experiment {name:?} has the id {}, and the id {id} is given: give one of them \
                     (MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID)",
                    found.experiment_id
                ),
                source: None,
            }),
            _ => Ok(found.experiment_id),
        }
    }
}

fn in_use(experiment: Experiment) -> Result<Experiment, TrackingError> {
    if experiment.lifecycle == Lifecycle::Active {
        return Ok(experiment);
    }
    Err(TrackingError::Deleted {
        message: format!(
            "the experiment {:?} is deleted: restore it with `mlflow experiments restore --experiment-id {}`, or use \
             another name",
            experiment.name, experiment.experiment_id
        ),
    })
}
