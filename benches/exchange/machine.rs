//! The machine a table came from, without its name.
use crate::Fault;
use std::process::Command;

/// Cores, processor and kernel in one phrase.
pub(crate) fn description() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let named = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value).to_owned()
    };
    format!(
        "{} × {} (model {}, {} kB cache), Linux {}",
        processors.lines().filter(|line| line.starts_with("processor")).count(),
        named("model name"),
        named("model\t"),
        named("cache size").trim_end_matches(" KB"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// Puts this process, its threads and those to come on core 1.
pub(crate) fn keep_to_core_one() -> Result<(), Fault> {
    let own = std::process::id().to_string();
    let output = Command::new("taskset").args(["-a", "-c", "-p", "1", &own]).output()?;
    if output.status.success() { Ok(()) } else { Err("two cores and taskset are needed".into()) }
}

/// What a program says of itself in its first line.
pub(crate) fn version(program: &std::path::Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("")
        .trim()
        .to_owned()
}
