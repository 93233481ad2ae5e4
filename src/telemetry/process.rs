//! The process's own figures, by the names that Prometheus' client libraries agree on.
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::fs;

/// Clock ticks a second in `/proc` (`USER_HZ`), the same on every Linux there is.
const TICKS: f64 = 100.0;
/// `/proc/self/statm` counts pages; usher's platforms have pages of 4 KiB.
const PAGE: u64 = 4096;

/// Reads `/proc/self` when it is asked; says nothing where there is none.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(stat) = Stat::read() {
            let name = "process_cpu_seconds";
            let help = "Time spent on the processor, by the user and by the system";
            let cpu = ConstCounter::new(stat.cpu_seconds);
            cpu.encode(encoder.encode_descriptor(name, help, None, cpu.metric_type())?)?;
            let mut gauge = |name: &str, help: &str, value: f64| {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
            };
            gauge("process_threads", "Threads", stat.threads)?;
            if let Some(started) = stat.started() {
                let help = "When the process began, in seconds since the Unix epoch";
                gauge("process_start_time_seconds", help, started)?;
            }
        }
        let mut count = |name: &str, help: &str, value: Option<u64>| {
            let Some(value) = value.and_then(|value| i64::try_from(value).ok()) else {
                return Ok(());
            };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        count("process_resident_memory_bytes", "Memory in use", resident())?;
        count("process_open_fds", "Open file descriptors", open_files())
    }
}

/// From `/proc/self/stat` (`man 5 proc`).
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    started_ticks: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, field 2, may hold spaces and parentheses; what follows its last one does not.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let mut number = |skip: usize| fields.nth(skip)?.parse::<f64>().ok();
        let (user, system) = (number(11)?, number(0)?);
        let (threads, started_ticks) = (number(4)?, number(1)?);
        Some(Self { cpu_seconds: (user + system) / TICKS, threads, started_ticks })
    }

    fn started(&self) -> Option<f64> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(boot.parse::<f64>().ok()? + self.started_ticks / TICKS)
    }
}

fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE)
}

fn open_files() -> Option<u64> {
    u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}
