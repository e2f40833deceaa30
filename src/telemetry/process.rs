//! Numbers of this process, read from Linux's `/proc` when somebody asks.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Linux counts processor time in these parts of a second, on every architecture (`man 5 proc`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory, processor time and start time of this process. What a system does not tell is left out.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    /// Seconds since 1970.
    started: f64,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: since_epoch.as_secs_f64() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(bytes) =
            std::fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text))
        {
            let gauge = ConstGauge::new(bytes);
            let help = "Memory of the process that is in RAM";
            let kind = prometheus_client::metrics::MetricType::Gauge;
            gauge.encode(encoder.encode_descriptor(
                "process_memory_rss",
                help,
                Some(&Unit::Bytes),
                kind,
            )?)?;
        }
        if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu(&text)) {
            let counter = ConstCounter::new(seconds);
            let help = "Processor time of the process, in its own code and in the kernel";
            let kind = prometheus_client::metrics::MetricType::Counter;
            counter.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?)?;
        }
        let gauge = ConstGauge::new(self.started);
        let help = "When the process started, since 1970";
        let kind = prometheus_client::metrics::MetricType::Gauge;
        gauge.encode(encoder.encode_descriptor("process_start_time", help, Some(&Unit::Seconds), kind)?)
    }
}

/// `VmRSS:    1234 kB` of `/proc/self/status`, in bytes.
fn resident(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 (user and system time) of `/proc/self/stat`, in seconds.
fn cpu(stat: &str) -> Option<f64> {
    // The name in parentheses may hold spaces; the third field follows it.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<f64>);
    match (times.next()?, times.next()?) {
        (Ok(user), Ok(system)) => Some((user + system) / TICKS_PER_SECOND),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nThreads: 1\n"), Some(2_097_152));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn processor_time_is_found_behind_a_name_with_spaces() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("7 (a) S 1"), None);
    }
}
