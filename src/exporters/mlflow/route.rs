//! From the rule of routing to ids: which experiment each trace of a request goes to.

use std::collections::HashMap;
use std::sync::Arc;

use super::report::Reporter;
use crate::mapping::routing::{ExperimentConfig, ExperimentRef, RoutedSpan};
use crate::otlp::model::ExportTraceServiceRequest;
use crate::pipeline::TraceRequest;
use crate::store::{ExperimentDirectory, ExperimentResolver, ResolverOptions, StoreError};

/// The experiment of each trace of a request, by trace id; for traces that do not exist yet.
pub(super) type Experiments = HashMap<u128, i64>;

/// A trace id as a number, as MLflow reads it; none if it has more than 16 significant bytes.
pub(super) fn trace_number(trace_id: &[u8]) -> Option<u128> {
    trace_id.iter().try_fold(0_u128, |number, byte| {
        (number.leading_zeros() >= 8).then_some((number << 8) | u128::from(*byte))
    })
}

/// Applies the rule, and looks names up.
pub(super) struct Router {
    rule: ExperimentConfig,
    resolver: ExperimentResolver,
    fallback: i64,
}

impl Router {
    /// Finds the fallback experiment, or creates it where that is allowed.
    ///
    /// # Errors
    ///
    /// The fallback experiment cannot be had, or the directory fails.
    pub(super) async fn new(
        rule: ExperimentConfig,
        directory: Arc<dyn ExperimentDirectory>,
    ) -> Result<Self, StoreError> {
        let fallback = match find_fallback(&rule, directory.as_ref()).await? {
            FallbackExperiment::Exists(id) => id,
            FallbackExperiment::Missing(name) => directory.create(&name).await?.id,
        };
        let resolver = ResolverOptions {
            create: rule.create,
            max_created: usize::try_from(rule.max_created).unwrap_or(usize::MAX),
            fallback: Some(fallback),
        };
        Ok(Self { resolver: ExperimentResolver::new(directory, resolver), rule, fallback })
    }

    /// Routes every trace of a request.
    ///
    /// # Errors
    ///
    /// The directory fails.
    pub(super) async fn route(
        &self,
        request: &TraceRequest,
        reporter: &Reporter,
    ) -> Result<Experiments, StoreError> {
        let header = request.metadata.experiment_id.as_deref();
        let mut experiments = Experiments::new();
        for (trace, spans) in traces(&request.body) {
            let experiment_id = match self.rule.route(header, &spans) {
                // In another workspace than ours, what exists is for the server to say.
                ExperimentRef::Id(id) if request.metadata.workspace.is_some() => id,
                named => self.experiment_id(&named, reporter).await?,
            };
            experiments.insert(trace, experiment_id);
        }
        Ok(experiments)
    }

    async fn experiment_id(&self, named: &ExperimentRef, reporter: &Reporter) -> Result<i64, StoreError> {
        let (resolved, asked_for) = match named {
            ExperimentRef::Fallback => return Ok(self.fallback),
            ExperimentRef::Id(id) if *id == self.fallback => return Ok(*id),
            ExperimentRef::Id(id) => (self.resolver.by_id(*id).await?, &id.to_string()),
            ExperimentRef::Name(name) => (self.resolver.by_name(name).await?, name),
        };
        if let Some(cause) = resolved.fallback {
            reporter.fell_back(cause.as_str(), &cause.explain(asked_for));
        }
        if resolved.created {
            reporter.metrics.experiment_created();
        }
        Ok(resolved.id)
    }
}

/// The experiment for traces that nothing else places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FallbackExperiment {
    /// It is there, with this id.
    Exists(i64),
    /// It may be created under this name.
    Missing(String),
}

/// Looks for the experiment of traces that nothing else places.
///
/// # Errors
///
/// [`StoreError::Fatal`] if it cannot be had, with what to do about it; otherwise what the directory says.
pub(crate) async fn find_fallback(
    config: &ExperimentConfig,
    directory: &dyn ExperimentDirectory,
) -> Result<FallbackExperiment, StoreError> {
    let name = match config.fallback() {
        ExperimentRef::Id(id) => {
            return match directory.get(id).await? {
                Some(_) => Ok(FallbackExperiment::Exists(id)),
                None => Err(StoreError::fatal(format!(
                    "experiment.id: there is no experiment {id}; use an id that exists, or `experiment.name`"
                ))),
            };
        }
        ExperimentRef::Name(name) => name,
        ExperimentRef::Fallback => String::new(),
    };
    match directory.find(&name).await? {
        Some(found) if !found.deleted => Ok(FallbackExperiment::Exists(found.id)),
        Some(_) => Err(StoreError::fatal(format!(
            "experiment.name: experiment '{name}' is deleted; restore it with `mlflow experiments restore`, or use \
             another name"
        ))),
        None if config.create => Ok(FallbackExperiment::Missing(name)),
        None => Err(StoreError::fatal(format!(
            "experiment.name: experiment '{name}' does not exist; create it, or set `experiment.create: true`"
        ))),
    }
}

/// The spans of each trace, in the order of the request.
pub(super) fn traces(body: &ExportTraceServiceRequest) -> HashMap<u128, Vec<RoutedSpan<'_>>> {
    let mut traces: HashMap<u128, Vec<RoutedSpan<'_>>> = HashMap::new();
    for resource_spans in &body.resource_spans {
        for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
            if let Some(trace) = trace_number(&span.trace_id) {
                let routed = RoutedSpan::new(span, resource_spans.resource.as_ref());
                traces.entry(trace).or_default().push(routed);
            }
        }
    }
    traces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_trace_ids_are_padded_and_long_ones_are_none() {
        assert_eq!(trace_number(&[1, 2]), Some(0x0102));
        assert_eq!(trace_number(&[0; 20]), Some(0));
        assert_eq!(trace_number(&[255; 16]), Some(u128::MAX));
        assert_eq!(trace_number(&[1; 17]), None);
    }
}
