//! `sending_queue` and `retry_on_failure`: the same keys in every exporter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::record::spans_of;
use crate::queue::{Durability, Options, WhenFull};

/// Where queues are, unless said otherwise: beside the working directory's other files.
const DIRECTORY: &str = "./otel-mlflow-queue";

/// Requests that are kept between the receiver's answer and the destination's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendingQueueConfig {
    /// Whether there is a queue. Without one a sender is answered when the destination has answered.
    pub enabled: bool,
    /// Where requests are kept.
    pub storage: QueueStorage,
    /// Directory of the queues; each pipeline and exporter has one of its own below it. Default:
    /// `./otel-mlflow-queue` for `storage: disk`; none for `storage: memory`, where it holds the dead letters only.
    pub directory: Option<PathBuf>,
    /// When a sender is answered, for `storage: disk`.
    pub ack: QueueAck,
    /// The most bytes that the queue keeps, as a number or such as `1GiB`; so many again may be dead letters.
    #[serde(with = "crate::units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub queue_size: usize,
    /// Age at which a request is given up, such as `72h`; `0s` means never.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// What happens to a request for which the queue has no room.
    pub on_full: OnFull,
    /// The most bytes of requests that the exporter works on at once; a batch is made of these.
    #[serde(with = "crate::units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub in_flight_size: usize,
}

/// Where requests are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueStorage {
    /// In memory: lost with the process.
    Memory,
    /// In files: delivered after a restart.
    #[default]
    Disk,
}

/// When a sender is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueAck {
    /// As soon as the request is in memory: the last ones are lost when the process is killed.
    Memory,
    /// When the operating system has it: survives the process, not the machine.
    Written,
    /// When it is on the medium: survives a power loss.
    #[default]
    Fsynced,
}

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The sender is told to try again later.
    #[default]
    Refuse,
    /// The oldest requests make room, and are counted as dropped.
    DropOldest,
}

impl Default for SendingQueueConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            storage: QueueStorage::default(),
            directory: None,
            ack: QueueAck::default(),
            queue_size: 1 << 30,
            max_age: Duration::ZERO,
            on_full: OnFull::default(),
            in_flight_size: 32 << 20,
        }
    }
}

impl SendingQueueConfig {
    /// No queue.
    pub fn disabled() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// What is wrong with the settings: key, relative to the exporter, and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str| {
            problems.push((format!("sending_queue.{key}"), message.to_owned()));
        };
        if self.queue_size < 1 << 20 {
            problem("queue_size", "must be at least 1MiB");
        }
        if self.in_flight_size == 0 {
            problem("in_flight_size", "must be at least 1 byte");
        }
        if self.directory.as_deref() == Some(Path::new("")) {
            problem("directory", "must not be empty; leave it out for the default");
        }
        problems
    }

    /// The directory of the queue of a pipeline and an exporter; none where nothing is kept in files.
    pub fn directory_of(&self, pipeline: &str, exporter: &str) -> Option<PathBuf> {
        Some(self.top_directory()?.join(file_name(pipeline)).join(file_name(exporter)))
    }

    /// Below which the queues are; none where nothing is kept in files.
    pub fn top_directory(&self) -> Option<&Path> {
        let in_files = self.enabled && (self.directory.is_some() || self.storage == QueueStorage::Disk);
        in_files.then(|| self.root())
    }

    /// Below which the queues are, if any is on disk.
    pub(super) fn root(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new(DIRECTORY))
    }

    /// The log's view of these settings, with one cursor of that name.
    pub(super) fn options(&self, cursor: &str) -> Options {
        Options {
            cursors: vec![cursor.to_owned()],
            durability: match self.ack {
                QueueAck::Memory => Durability::Memory,
                QueueAck::Written => Durability::Written,
                QueueAck::Fsynced => Durability::Fsynced,
            },
            when_full: match self.on_full {
                OnFull::Refuse => WhenFull::Refuse,
                OnFull::DropOldest => WhenFull::DropOldest,
            },
            max_bytes: self.queue_size as u64,
            max_age: (!self.max_age.is_zero()).then_some(self.max_age),
            // The largest body that a receiver takes, and what the sender said beside it.
            record_bytes: 65 << 20,
            // What waits for one sync; more is memory without use.
            pending_bytes: 16 << 20,
            weigh: spans_of,
            ..Options::default()
        }
    }
}

/// An id as the name of a directory: what is no letter, digit, `-`, `_` or inner dot is written as `%2F`.
fn file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// The id of which that is the name.
pub(super) fn id_of(file_name: &str) -> String {
    let mut bytes = Vec::with_capacity(file_name.len());
    let mut rest = file_name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped =
            digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How a request that the destination does not take now is sent again: after a random time around an interval that
/// grows. The names, and the first four defaults, are the Collector's.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryOnFailure {
    /// Whether a request is sent again at all.
    pub enabled: bool,
    /// The wait before the first retry.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub initial_interval: Duration,
    /// The longest wait, unless the destination asks for more.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub max_interval: Duration,
    /// How much longer each wait is than the one before; with the queue only.
    pub multiplier: f64,
    /// How far a wait is shortened or lengthened at random, as a part of it; with the queue only.
    pub randomization_factor: f64,
    /// When to give up; `0s` means never. With the queue, what is given up becomes a dead letter, and the default is
    /// never; without one its sender is told, by default after the time that the exporter's description names.
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<String>")]
    pub max_elapsed_time: Option<Duration>,
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            max_interval: Duration::from_secs(30),
            multiplier: 1.5,
            randomization_factor: 0.5,
            max_elapsed_time: None,
        }
    }
}

impl RetryOnFailure {
    /// What is wrong with the settings: key, relative to the exporter, and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str| {
            problems.push((format!("retry_on_failure.{key}"), message.to_owned()));
        };
        if !(1.0..=1_000.0).contains(&self.multiplier) {
            problem("multiplier", "must be from 1 to 1000");
        }
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            problem("randomization_factor", "must be from 0 to 1");
        }
        if self.initial_interval.is_zero() {
            problem("initial_interval", "must be longer than 0");
        }
        if self.max_interval < self.initial_interval {
            problem("max_interval", "must not be shorter than initial_interval");
        }
        problems
    }
}

fn some_duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    crate::units::duration::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_documented() {
        let read = r#"{"storage": "memory", "directory": "/q", "ack": "written", "queue_size": "2MiB",
            "max_age": "72h", "on_full": "drop_oldest", "in_flight_size": "1MiB"}"#;
        let config: SendingQueueConfig = serde_json::from_str(read).unwrap();
        assert!(config.enabled);
        let options = config.options("x");
        assert_eq!(options.durability, Durability::Written);
        assert_eq!(options.when_full, WhenFull::DropOldest);
        assert_eq!(options.max_bytes, 2 << 20);
        assert_eq!(options.max_age, Some(Duration::from_secs(72 * 3600)));
        assert!(serde_json::from_str::<SendingQueueConfig>(r#"{"num_consumers": 4}"#).is_err());
        let retry: RetryOnFailure = serde_json::from_str(r#"{"max_elapsed_time": "0s"}"#).unwrap();
        assert_eq!(retry.max_elapsed_time, Some(Duration::ZERO));
        assert_eq!(serde_json::from_str::<RetryOnFailure>("{}").unwrap().max_elapsed_time, None);
    }

    #[test]
    fn every_queue_has_a_directory_of_its_own_that_stays_below_the_root() {
        let config = SendingQueueConfig { directory: Some("/q".into()), ..SendingQueueConfig::default() };
        let of = |pipeline, exporter| config.directory_of(pipeline, exporter).unwrap();
        assert_eq!(of("traces", "mlflow"), Path::new("/q/traces/mlflow"));
        assert_eq!(of("traces/2", "mlflow/%2F"), Path::new("/q/traces%2F2/mlflow%2F%252F"));
        assert_eq!(of("..", "."), Path::new("/q/%2E./%2E"));
        for id in ["mlflow", "mlflow/%2F", "..", "otlp/ä", "%", "%2"] {
            assert_eq!(id_of(&file_name(id)), id);
        }
    }

    #[test]
    fn memory_has_a_directory_only_if_it_is_given_one() {
        let memory = SendingQueueConfig { storage: QueueStorage::Memory, ..SendingQueueConfig::default() };
        assert_eq!(memory.directory_of("traces", "mlflow"), None);
        assert_eq!(SendingQueueConfig::disabled().directory_of("traces", "mlflow"), None);
        let disk = SendingQueueConfig::default().directory_of("traces", "mlflow");
        assert_eq!(disk.as_deref(), Some(Path::new("./otel-mlflow-queue/traces/mlflow")));
    }

    #[test]
    fn senseless_settings_are_named() {
        let queue = SendingQueueConfig { queue_size: 5, in_flight_size: 0, ..SendingQueueConfig::default() };
        let keys: Vec<_> = queue.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["sending_queue.queue_size", "sending_queue.in_flight_size"]);
        let retry = RetryOnFailure {
            multiplier: f64::NAN,
            max_interval: Duration::ZERO,
            ..RetryOnFailure::default()
        };
        let keys: Vec<_> = retry.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["retry_on_failure.multiplier", "retry_on_failure.max_interval"]);
    }
}
