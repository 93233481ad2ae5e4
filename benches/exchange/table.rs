//! Results as Markdown.
use crate::{
    Fault,
    figures::{Case, Results, Sample, Who, median},
    machine,
    options::Options,
    rounds::CONNECTIONS,
    verdict::{Asked, verdicts},
};
use std::fmt::{Error, Write};

/// All tables, and where they come from.
pub(crate) fn render(options: &Options, results: &Results) -> Result<String, Fault> {
    let mut page = String::new();
    provenance(&mut page, options)?;
    targets(&mut page, results)?;
    turns(&mut page, "Warm: tokens the server has seen", Case::Warm, results)?;
    turns(&mut page, "Cold: every token for the first time", Case::Cold, results)?;
    floor(&mut page, results)?;
    processes(&mut page, results)?;
    Ok(page)
}

fn provenance(page: &mut String, options: &Options) -> Result<(), Error> {
    let usher = options
        .usher
        .as_ref()
        .map_or("no usher".to_owned(), |it| machine::version(it, "--version"));
    let node = crate::peers::which("node").map(|it| machine::version(&it, "--version"));
    let envoy = machine::version(&options.peers.join("envoy/envoy/_bin/envoy"), "--version");
    writeln!(page, "{}; {usher}; node {};", machine::description(), node.unwrap_or_default())?;
    // Its own path comes first, and is nobody's business.
    let envoy = envoy.rsplit_once("version: ").map_or("unknown", |(_, version)| version);
    writeln!(page, "Envoy {envoy}.")?;
    writeln!(page, "{} rounds, warm turns of {:?}.", options.rounds, options.turn)?;
    if options.quick {
        writeln!(page, "\n**A smoke run: its figures are worth nothing.**")?;
    }
    writeln!(page)
}

fn targets(page: &mut String, results: &Results) -> Result<(), Error> {
    writeln!(
        page,
        "### Targets\n\nFigures at 1 · 16 · 64 connections, judged at the worse of 16 and 64.\n"
    )?;
    writeln!(page, "| target | asked | measured | verdict |\n|---|---|---|---|")?;
    for verdict in verdicts(results) {
        let asked = match verdict.asked {
            Asked::AtLeast(bound) => format!("≥ {bound:.2}"),
            Asked::AtMost(bound) => format!("≤ {bound:.2}"),
        };
        writeln!(
            page,
            "| {} | {asked} | {} | {} |",
            verdict.what,
            verdict.detail,
            verdict.sentence()
        )?;
    }
    writeln!(page)
}

const COLUMNS: &str = "| server | connections | requests/s | p50 µs | p99 µs | CPU µs/request | core busy |\n\
                       |---|---:|---:|---:|---:|---:|---:|";

fn turns(page: &mut String, title: &str, case: Case, results: &Results) -> Result<(), Error> {
    writeln!(page, "### {title}\n\n{COLUMNS}")?;
    for who in Who::ALL {
        for connections in CONNECTIONS {
            if let Some(sample) = results.middle(case, who, connections) {
                row(page, who.name(), connections, &sample)?;
            }
        }
    }
    writeln!(page)
}

fn row(page: &mut String, name: &str, connections: usize, it: &Sample) -> Result<(), Error> {
    let Sample { rate, p50, p99, cost, busy, count: _ } = *it;
    let busy = busy * 100.0;
    writeln!(
        page,
        "| {name} | {connections} | {rate:.0} | {p50:.0} | {p99:.0} | {cost:.1} | {busy:.0} % |"
    )
}

/// What a cold exchange cannot do without, beside what it costs.
fn floor(page: &mut String, results: &Results) -> Result<(), Error> {
    let Some(check) = median(results.check.clone()) else { return Ok(()) };
    writeln!(page, "### The floor of a cold exchange\n")?;
    writeln!(page, "One RS256 check with a 2048-bit key, digest included: {check:.1} µs.\n")?;
    writeln!(
        page,
        "| connections | new tokens | usher cold, CPU µs | bare hyper at that rate, CPU µs | with the check: the floor | bare hyper saturated, with the check |\n|---:|---:|---:|---:|---:|---:|"
    )?;
    for connections in CONNECTIONS {
        let usher = results.middle(Case::Cold, Who::Usher, connections);
        let paced = results.middle(Case::Paced, Who::Bare, connections);
        let saturated = results.middle(Case::Warm, Who::Bare, connections);
        let Some(((usher, paced), saturated)) = usher.zip(paced).zip(saturated) else { continue };
        writeln!(
            page,
            "| {connections} | {} | {:.1} | {:.1} (at {:.0}/s) | {:.1} | {:.1} |",
            usher.count,
            usher.cost,
            paced.cost,
            paced.rate,
            paced.cost + check,
            saturated.cost + check,
        )?;
    }
    writeln!(page)
}

fn processes(page: &mut String, results: &Results) -> Result<(), Error> {
    writeln!(page, "### Processes\n")?;
    writeln!(
        page,
        "| server | RSS idle | RSS after all turns | exec to ready, median (slowest) | binary |\n|---|---:|---:|---:|---:|"
    )?;
    let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    for (who, weight) in &results.weights {
        writeln!(
            page,
            "| {} | {:.1} MiB | {:.1} MiB | {:.1} ms ({:.1} ms) | {:.1} MiB |",
            who.name(),
            mebibytes(weight.idle * 1_024),
            mebibytes(weight.after * 1_024),
            weight.ready,
            weight.ready_worst,
            mebibytes(weight.binary),
        )?;
    }
    writeln!(page)
}
