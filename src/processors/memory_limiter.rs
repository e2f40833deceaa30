//! `processors.memory_limiter`: refuses requests while the process holds too much for others.
//!
//! Nothing is measured: requests are weighed when they come in, and given back when they are answered.
//! The account is the one that the receivers use, so that a request counts once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

use super::matching::Problem;
use crate::otlp::footprint;
use crate::pipeline::{
    Ack, ComponentId, ExportError, Held, MemoryAccount, TraceExporter, TraceRequest, ack_channel,
};
use crate::telemetry::ProcessorMetrics;
use crate::units;

/// Refuses requests while those under way hold more memory than the limit less the spike limit. They are
/// to come again: a sender is told how long to wait, a queue before the processor does so by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryLimiterConfig {
    /// How long who was refused is asked to wait.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub check_interval: Duration,
    /// The most memory of requests under way in the process, in MiB; 0 goes by `limit_percentage`.
    pub limit_mib: usize,
    /// How far below the limit requests are refused, in MiB; 0 is a fifth of the limit.
    pub spike_limit_mib: usize,
    /// The limit in percent of the machine's memory, or of the container's.
    pub limit_percentage: usize,
    /// The spike limit in percent of the same.
    pub spike_limit_percentage: usize,
}

impl Default for MemoryLimiterConfig {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(1),
            limit_mib: 0,
            spike_limit_mib: 0,
            limit_percentage: 0,
            spike_limit_percentage: 0,
        }
    }
}

impl MemoryLimiterConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str| problems.push((key.to_owned(), message.to_owned()));
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            problem("limit_mib", "needs limit_mib or limit_percentage");
        }
        if self.limit_mib != 0 && self.spike_limit_mib >= self.limit_mib {
            problem("spike_limit_mib", "must be smaller than limit_mib");
        }
        if self.limit_percentage > 100 {
            problem("limit_percentage", "must be at most 100");
        }
        if self.limit_mib == 0
            && self.limit_percentage > 0
            && self.spike_limit_percentage >= self.limit_percentage
        {
            problem("spike_limit_percentage", "must be smaller than limit_percentage");
        }
        if self.check_interval.is_zero() {
            problem("check_interval", "must be longer than 0");
        }
        problems
    }

    /// The processor, before the next stage.
    ///
    /// # Errors
    ///
    /// The machine does not tell how much memory it has, and a percentage of it is asked for.
    pub fn build(
        &self,
        account: MemoryAccount,
        metrics: ProcessorMetrics,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, Problem> {
        let limit = self.soft_limit(total_memory)?;
        Ok(Arc::new(MemoryLimiter { limit, after: self.check_interval, account, metrics, next }))
    }

    /// Where refusing begins, in bytes.
    fn soft_limit(&self, total: impl Fn() -> Option<usize>) -> Result<usize, Problem> {
        let (limit, spike) = if self.limit_mib > 0 {
            (self.limit_mib.saturating_mul(1 << 20), self.spike_limit_mib.saturating_mul(1 << 20))
        } else {
            let unknown = || {
                let message = "this machine does not tell its memory: use limit_mib";
                ("limit_percentage".to_owned(), message.to_owned())
            };
            let total = total().ok_or_else(unknown)?;
            let share = |percentage: usize| total / 100 * percentage;
            (share(self.limit_percentage), share(self.spike_limit_percentage))
        };
        Ok(limit - if spike == 0 { limit / 5 } else { spike.min(limit) })
    }
}

/// The memory of the container or of the service, or of the machine where that is less or there is none, in bytes.
fn total_memory() -> Option<usize> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let number = |path: String| -> Option<usize> { text(&path)?.trim().parse().ok() };
    let own_group = text("/proc/self/cgroup").as_deref().and_then(unified_group).map(group_limit);
    let of_groups = own_group.into_iter().chain([
        "/sys/fs/cgroup/memory.max".to_owned(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
    ]);
    let of_machine = text("/proc/meminfo").as_deref().and_then(of_machine);
    of_groups.filter_map(number).chain(of_machine).min()
}

/// Where the limit of a group is.
fn group_limit(group: &str) -> String {
    format!("/sys/fs/cgroup{group}/memory.max")
}

/// The group of a process in the unified hierarchy, by the text of its `/proc/self/cgroup`.
fn unified_group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::")).filter(|group| *group != "/")
}

/// The memory of the machine, by the text of `/proc/meminfo`, in bytes.
fn of_machine(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()?.checked_mul(1_024)
}

struct MemoryLimiter {
    /// In bytes.
    limit: usize,
    after: Duration,
    account: MemoryAccount,
    metrics: ProcessorMetrics,
    next: Arc<dyn TraceExporter>,
}

impl MemoryLimiter {
    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        let spans = request.span_count();
        self.metrics.incoming(spans);
        let Some(held) = self.weigh(&request) else {
            self.metrics.refused(spans);
            let reason =
                "too much memory is in use: try again later, or raise the memory_limiter's limit_mib";
            return ack
                .complete(Err(ExportError::Retry { after: Some(self.after), reason: reason.to_owned() }));
        };
        self.metrics.outgoing(spans);
        let ack = match held.is_counted() {
            true => holding(ack, held),
            false => ack,
        };
        self.next.export(request, ack).await;
    }

    /// What the request adds to the account; none if that is too much. A request that is counted already
    /// adds nothing. Who is alone is let through, however large.
    fn weigh(&self, request: &TraceRequest) -> Option<Held> {
        if request.held.is_counted() {
            let used = self.account.used();
            let is_alone = used <= request.held.bytes();
            return (used <= self.limit || is_alone).then(Held::default);
        }
        let mut held = self.account.hold(0);
        let bytes = footprint(&request.body) + request.encoded.as_ref().map_or(0, |bytes| bytes.len());
        held.try_resize(bytes, self.limit).then_some(held)
    }
}

/// Holds until the answer.
fn holding(ack: Ack, held: Held) -> Ack {
    let (inner, delivery) = ack_channel();
    tokio::spawn(async move {
        let delivery = delivery.await;
        drop(held);
        ack.complete(delivery);
    });
    inner
}

impl TraceExporter for MemoryLimiter {
    fn id(&self) -> &ComponentId {
        self.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.take(request, ack))
    }

    fn hurry(&self) {
        self.next.hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.next.shutdown()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Recorder, request_of, span};
    use super::*;
    use crate::telemetry::Metrics;

    fn config(settings: serde_json::Value) -> MemoryLimiterConfig {
        let config: MemoryLimiterConfig = serde_json::from_value(settings).unwrap();
        assert_eq!(config.validate(), []);
        config
    }

    #[test]
    fn refusing_begins_below_the_limit() {
        let soft = |settings| config(settings).soft_limit(|| Some(1_000 << 20)).unwrap() >> 20;
        assert_eq!(soft(json!({"limit_mib": 100})), 80);
        assert_eq!(soft(json!({"limit_mib": 100, "spike_limit_mib": 30})), 70);
        assert_eq!(soft(json!({"limit_percentage": 50, "spike_limit_percentage": 10})), 400);
        let unknown = config(json!({"limit_percentage": 50})).soft_limit(|| None);
        assert_eq!(unknown.unwrap_err().0, "limit_percentage");
        assert!(total_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    /// Scenario: a request of 1 MiB is alone over the limit of 1 MiB less a fifth; a second comes.
    /// Guarantees: the first passes, the second is told to wait, and passes once the first is answered.
    #[tokio::test]
    async fn requests_are_refused_while_too_much_is_held() {
        for counted_before in [true, false] {
            let (next, metrics) = (Recorder::new(), Metrics::default());
            let account = MemoryAccount::default();
            let config = config(json!({"limit_mib": 1, "check_interval": "3s"}));
            let stage = config
                .build(
                    account.clone(),
                    metrics.processor("limit"),
                    Arc::clone(&next) as Arc<dyn TraceExporter>,
                )
                .unwrap();
            let request = || {
                let mut request = request_of(vec![span(1, 1, &"n".repeat(1 << 20))]);
                if counted_before {
                    request.held = account.hold(footprint(&request.body));
                }
                Arc::new(request)
            };
            let other = account.hold(500 << 10);
            let refused = next.send(stage.as_ref(), request()).await.unwrap_err();
            assert!(matches!(refused, ExportError::Retry { after: Some(after), .. } if after.as_secs() == 3));
            assert!(
                metrics.render().unwrap().contains("processor_refused_spans_total{processor=\"limit\"} 1")
            );
            drop(other);
            next.send(stage.as_ref(), request()).await.unwrap();
            assert_eq!(next.taken().len(), 1);
            next.forget();
            assert_eq!(account.used(), 0);
        }
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        let keys = |settings| {
            let config: MemoryLimiterConfig = serde_json::from_value(settings).unwrap();
            config.validate().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys(json!({})), ["limit_mib"]);
        assert_eq!(keys(json!({"limit_mib": 10, "spike_limit_mib": 10})), ["spike_limit_mib"]);
        assert_eq!(
            keys(json!({"limit_percentage": 101, "check_interval": "0s"})),
            ["limit_percentage", "check_interval"]
        );
    }

    #[test]
    fn the_limit_of_a_service_is_found_in_its_group() {
        let group = unified_group("1:name=systemd:/a\n0::/system.slice/otel-mlflow.service\n").unwrap();
        assert_eq!(group_limit(group), "/sys/fs/cgroup/system.slice/otel-mlflow.service/memory.max");
        assert_eq!(unified_group("0::/\n"), None);
        assert_eq!(of_machine("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert!(total_memory().is_some());
    }
}
