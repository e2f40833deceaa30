//! Experiments by name: found, or created once, or replaced by a fallback.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// A boxed future, so that directories of different stores stand behind one pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a found experiment is taken for granted; one that is deleted or renamed meanwhile
/// still receives traces.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// Names come from attributes, so their number has no bound of its own.
const MAX_CACHED: usize = 10_000;

/// MLflow's column has room for so many characters.
const MAX_NAME_CHARACTERS: usize = 256;

/// An experiment, as MLflow knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Where its artifacts live.
    pub artifact_location: Option<String>,
    /// Whether it is in the recycle bin.
    pub deleted: bool,
}

/// The experiments of a store.
pub trait ExperimentDirectory: Send + Sync + 'static {
    /// Finds an experiment by name; a deleted one is found, too.
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Experiment>, StoreError>>;

    /// Finds an experiment by id; a deleted one is found, too.
    fn get(&self, id: i64) -> BoxFuture<'_, Result<Option<Experiment>, StoreError>>;

    /// Creates an experiment. If another process has just created one of that name, that one is returned.
    fn create<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Experiment, StoreError>>;
}

/// What to do with names that do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverOptions {
    /// Whether to create missing experiments.
    pub create: bool,
    /// How many experiments may be created while the process runs.
    pub max_created: usize,
    /// Experiment for traces whose own cannot be had.
    pub fallback: Option<i64>,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self { create: true, max_created: 100, fallback: None }
    }
}

/// Why the fallback experiment was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FallbackCause {
    /// The experiment does not exist and may not be created.
    NotFound,
    /// The experiment of that name is deleted.
    Deleted,
    /// As many experiments as allowed have been created.
    TooManyCreated,
    /// No experiment can have such a name.
    InvalidName,
}

impl FallbackCause {
    /// A short name, for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Deleted => "deleted",
            Self::TooManyCreated => "too_many_created",
            Self::InvalidName => "invalid_name",
        }
    }

    /// What to do about it.
    pub fn explain(self, name: &str) -> String {
        match self {
            Self::NotFound => {
                format!("experiment '{name}' does not exist; create it, or set `experiment.create: true`")
            }
            Self::Deleted => format!(
                "experiment '{name}' is deleted; restore it with `mlflow experiments restore`, or use another name"
            ),
            Self::TooManyCreated => format!(
                "experiment '{name}' does not exist, and no more experiments may be created; raise the limit, or create it"
            ),
            Self::InvalidName => format!(
                "'{}' cannot be the name of an experiment: 1 to {MAX_NAME_CHARACTERS} characters are allowed",
                clip(name)
            ),
        }
    }
}

fn clip(name: &str) -> String {
    if name.chars().count() <= 80 {
        name.to_owned()
    } else {
        name.chars().take(77).collect::<String>() + "..."
    }
}

/// The experiment that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedExperiment {
    /// Its id.
    pub id: i64,
    /// Why it is the fallback, if it is.
    pub fallback: Option<FallbackCause>,
    /// Whether this call created it.
    pub created: bool,
}

/// Names to ids, with a cache in front of the directory.
pub struct ExperimentResolver {
    directory: Arc<dyn ExperimentDirectory>,
    options: ResolverOptions,
    known: Mutex<HashMap<String, Known>>,
    /// Held while the directory is asked for a name, so that a name is created once. Counts the
    /// experiments created.
    asking: tokio::sync::Mutex<usize>,
}

#[derive(Clone, Copy)]
struct Known {
    answer: Result<i64, FallbackCause>,
    since: Instant,
}

impl ExperimentResolver {
    /// A resolver with an empty cache.
    pub fn new(directory: Arc<dyn ExperimentDirectory>, options: ResolverOptions) -> Self {
        Self { directory, options, known: Mutex::default(), asking: tokio::sync::Mutex::new(0) }
    }

    /// The id of the experiment of this name: found, or created, or the fallback.
    ///
    /// # Errors
    ///
    /// [`StoreError::Reject`] if it cannot be had and there is no fallback; otherwise what the
    /// directory says.
    pub async fn by_name(&self, name: &str) -> Result<ResolvedExperiment, StoreError> {
        let (answer, created) = match self.remembered(name) {
            Some(answer) => (answer, false),
            None => self.ask(name).await?,
        };
        match (answer, self.options.fallback) {
            (Ok(id), _) => Ok(ResolvedExperiment { id, fallback: None, created }),
            (Err(cause), Some(id)) => Ok(ResolvedExperiment { id, fallback: Some(cause), created }),
            (Err(cause), None) => Err(StoreError::reject(cause.explain(name))),
        }
    }

    fn remembered(&self, name: &str) -> Option<Result<i64, FallbackCause>> {
        self.known().get(name).filter(|known| known.since.elapsed() < FRESH_FOR).map(|known| known.answer)
    }

    /// Asks the directory; says whether that created the experiment, too.
    async fn ask(&self, name: &str) -> Result<(Result<i64, FallbackCause>, bool), StoreError> {
        let mut created = self.asking.lock().await;
        // Another task may have asked while this one waited.
        if let Some(answer) = self.remembered(name) {
            return Ok((answer, false));
        }
        let before = *created;
        let answer = self.find_or_create(name, &mut created).await?;
        let mut known = self.known();
        if known.len() >= MAX_CACHED {
            known.clear();
        }
        known.insert(name.to_owned(), Known { answer, since: Instant::now() });
        Ok((answer, *created > before))
    }

    async fn find_or_create(
        &self,
        name: &str,
        created: &mut usize,
    ) -> Result<Result<i64, FallbackCause>, StoreError> {
        if name.is_empty() || name.contains('\0') || name.chars().count() > MAX_NAME_CHARACTERS {
            return Ok(Err(FallbackCause::InvalidName));
        }
        if let Some(found) = self.directory.find(name).await? {
            return Ok(if found.deleted { Err(FallbackCause::Deleted) } else { Ok(found.id) });
        }
        if !self.options.create {
            return Ok(Err(FallbackCause::NotFound));
        }
        if *created >= self.options.max_created {
            return Ok(Err(FallbackCause::TooManyCreated));
        }
        let experiment = self.directory.create(name).await?;
        *created += 1;
        Ok(if experiment.deleted { Err(FallbackCause::Deleted) } else { Ok(experiment.id) })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
