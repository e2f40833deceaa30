//! Samplers.

use opentelemetry_sdk::trace::{Sampler, ShouldSample};

use super::model::{ParentBased, SamplerModel};
use super::plan::Reading;
use crate::document::tree::Path;

type Boxed = Box<dyn ShouldSample>;

/// The sampler of the file; without one, what OpenTelemetry asks for.
pub(super) fn sampler(model: Option<SamplerModel>, path: &Path, reading: &mut Reading<'_>) -> Boxed {
    match model {
        Some(model) => one(model, path, reading),
        None => Box::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOn))),
    }
}

fn one(model: SamplerModel, path: &Path, reading: &mut Reading<'_>) -> Boxed {
    let mut found: Vec<Boxed> = Vec::new();
    if model.always_on.is_some() {
        found.push(Box::new(Sampler::AlwaysOn));
    }
    if model.always_off.is_some() {
        found.push(Box::new(Sampler::AlwaysOff));
    }
    if let Some(ratio) = model.trace_id_ratio_based {
        found.push(Box::new(Sampler::TraceIdRatioBased(ratio.ratio.unwrap_or(1.0))));
    }
    if let Some(parents) = model.parent_based {
        found.push(parent_based(*parents, &path.key("parent_based"), reading));
    }
    reading
        .exactly_one(found, path, "`always_on`, `always_off`, `trace_id_ratio_based` or `parent_based`")
        .unwrap_or_else(|| Box::new(Sampler::AlwaysOn))
}

fn parent_based(model: ParentBased, path: &Path, reading: &mut Reading<'_>) -> Boxed {
    let mut child = |model: Option<SamplerModel>, key: &str, otherwise: Sampler| -> Boxed {
        match model {
            Some(model) => one(model, &path.key(key), reading),
            None => Box::new(otherwise),
        }
    };
    let root = child(model.root, "root", Sampler::AlwaysOn);
    let sampler = Sampler::parent_based(root)
        .with_remote_parent_sampled(child(
            model.remote_parent_sampled,
            "remote_parent_sampled",
            Sampler::AlwaysOn,
        ))
        .with_remote_parent_not_sampled(child(
            model.remote_parent_not_sampled,
            "remote_parent_not_sampled",
            Sampler::AlwaysOff,
        ))
        .with_local_parent_sampled(child(
            model.local_parent_sampled,
            "local_parent_sampled",
            Sampler::AlwaysOn,
        ))
        .with_local_parent_not_sampled(child(
            model.local_parent_not_sampled,
            "local_parent_not_sampled",
            Sampler::AlwaysOff,
        ));
    Box::new(sampler)
}
