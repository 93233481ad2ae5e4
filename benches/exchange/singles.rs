//! What is measured of one server alone: its start, its weight, and usher's with many identities.
use crate::{
    Fault,
    figures::{Crowd, Weight, Who, median},
    judge::Expect,
    load::{Load, Tokens},
    peers::Workshop,
    process::Launch,
};
use std::{sync::Arc, time::Duration};

/// How often the slow starters are started.
const FEW: usize = 3;

/// Starts it several times. usher gets a fresh folder and store each time, as in a new pod.
pub(crate) async fn weigh(
    who: Who,
    launch: &Launch,
    workshop: &Workshop<'_>,
    token: &str,
) -> Result<Weight, Fault> {
    let mut ready = Vec::new();
    let mut idle = Vec::new();
    let starts = if who == Who::Usher { workshop.options.starts } else { FEW };
    for start in 0..starts {
        let fresh = match who {
            Who::Usher => Some(workshop.usher(&format!("start-{start}"), "sqlite:")?),
            Who::Bare | Who::Express | Who::EnvoyCached | Who::Envoy => None,
        };
        let mut server = fresh.as_ref().unwrap_or(launch).start()?;
        ready.push(server.ready(shown(who, token)).await?.as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        idle.push(server.resident()?);
    }
    Ok(Weight {
        ready_worst: ready.iter().copied().fold(0.0, f64::max),
        ready: median(ready).unwrap_or_default(),
        idle: idle.into_iter().max().unwrap_or_default(),
        after: 0,
        binary: std::fs::metadata(&launch.program)?.len(),
    })
}

/// The token a server must exchange to count as ready; usher says itself when it is.
pub(crate) fn shown(who: Who, token: &str) -> Option<&str> {
    match who {
        Who::Usher => None,
        Who::Bare | Who::Express | Who::EnvoyCached | Who::Envoy => Some(token),
    }
}

/// Shows a fresh usher each of these tokens once, every one another subject's, and weighs it.
pub(crate) async fn crowd(
    workshop: &Workshop<'_>,
    tokens: &Arc<Vec<Box<str>>>,
) -> Result<Crowd, Fault> {
    let store = if workshop.options.memory_store { "memory:" } else { "sqlite:" };
    let launch = workshop.usher("crowd", store)?;
    let mut usher = launch.start()?;
    usher.ready(None).await?;
    let load = Load {
        connections: 64,
        tokens: Tokens::fresh(tokens, 0, tokens.len()),
        expect: Expect::Token,
        at_most: Duration::from_mins(4),
        pace: None,
    };
    let sample = load.run(&usher).await?;
    // Queues run empty and what was freed may be given back.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(Crowd { identities: sample.count, resident: usher.resident()?, rate: sample.rate })
}
