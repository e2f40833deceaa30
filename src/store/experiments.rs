//! Experiments by name: found, or created once, or replaced by a fallback.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
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

    /// Finds an experiment by id; a deleted one is found, too. [`StoreError::Reject`] if we may not use it.
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
    /// No experiment has the id.
    UnknownId,
    /// The experiment of that id may not be used.
    Forbidden,
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
            Self::UnknownId => "unknown_id",
            Self::Forbidden => "forbidden",
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
            Self::UnknownId => {
                format!("no experiment has the id {name}; ask the sender to use one that exists, or a name")
            }
            Self::Forbidden => {
                format!(
                    "MLflow does not let this user read experiment {name}; give it the permission to edit"
                )
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

/// The experiment that a name or an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedExperiment {
    /// Its id.
    pub id: i64,
    /// Why it is the fallback, if it is.
    pub fallback: Option<FallbackCause>,
    /// Whether this call created it.
    pub created: bool,
}

/// Names to ids, and ids to those that exist, with a cache in front of the directory.
pub struct ExperimentResolver {
    directory: Arc<dyn ExperimentDirectory>,
    options: ResolverOptions,
    names: Cache<String>,
    ids: Cache<i64>,
    /// Held while the directory is asked for a name, so that a name is created once. Counts the
    /// experiments created.
    asking: tokio::sync::Mutex<usize>,
}

type Answer = Result<i64, FallbackCause>;

/// Answers of the directory, and since when they are known.
struct Cache<K>(Mutex<HashMap<K, (Answer, Instant)>>);

impl<K: Eq + Hash> Cache<K> {
    fn known(&self) -> MutexGuard<'_, HashMap<K, (Answer, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Answer>
    where
        K: Borrow<Q>,
    {
        self.known().get(key).filter(|(_, since)| since.elapsed() < FRESH_FOR).map(|(answer, _)| *answer)
    }

    fn put(&self, key: K, answer: Answer) {
        let mut known = self.known();
        if known.len() >= MAX_CACHED {
            known.clear();
        }
        known.insert(key, (answer, Instant::now()));
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl ExperimentResolver {
    /// A resolver with an empty cache.
    pub fn new(directory: Arc<dyn ExperimentDirectory>, options: ResolverOptions) -> Self {
        let (names, ids) = (Cache::default(), Cache::default());
        Self { directory, options, names, ids, asking: tokio::sync::Mutex::new(0) }
    }

    /// The id of the experiment of this name: found, or created, or the fallback.
    ///
    /// # Errors
    ///
    /// [`StoreError::Reject`] if it cannot be had and there is no fallback; otherwise what the
    /// directory says.
    pub async fn by_name(&self, name: &str) -> Result<ResolvedExperiment, StoreError> {
        let (answer, created) = match self.names.get(name) {
            Some(answer) => (answer, false),
            None => self.ask(name).await?,
        };
        self.resolved(answer, created, name)
    }

    /// The same id if an experiment has it, a deleted one too, or the fallback.
    ///
    /// # Errors
    ///
    /// As [`Self::by_name`].
    pub async fn by_id(&self, id: i64) -> Result<ResolvedExperiment, StoreError> {
        let answer = match self.ids.get(&id) {
            Some(answer) => answer,
            None => {
                let answer = match self.directory.get(id).await {
                    Ok(found) => found.map(|experiment| experiment.id).ok_or(FallbackCause::UnknownId),
                    Err(StoreError::Reject { .. }) => Err(FallbackCause::Forbidden),
                    Err(error) => return Err(error),
                };
                self.ids.put(id, answer);
                answer
            }
        };
        self.resolved(answer, false, &id.to_string())
    }

    fn resolved(
        &self,
        answer: Answer,
        created: bool,
        asked_for: &str,
    ) -> Result<ResolvedExperiment, StoreError> {
        match (answer, self.options.fallback) {
            (Ok(id), _) => Ok(ResolvedExperiment { id, fallback: None, created }),
            (Err(cause), Some(id)) => Ok(ResolvedExperiment { id, fallback: Some(cause), created }),
            (Err(cause), None) => Err(StoreError::reject(cause.explain(asked_for))),
        }
    }

    /// Asks the directory; says whether that created the experiment, too.
    async fn ask(&self, name: &str) -> Result<(Answer, bool), StoreError> {
        let mut created = self.asking.lock().await;
        // Another task may have asked while this one waited.
        if let Some(answer) = self.names.get(name) {
            return Ok((answer, false));
        }
        let before = *created;
        let answer = self.find_or_create(name, &mut created).await?;
        self.names.put(name.to_owned(), answer);
        Ok((answer, *created > before))
    }

    async fn find_or_create(&self, name: &str, created: &mut usize) -> Result<Answer, StoreError> {
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
}

#[cfg(test)]
mod tests;
