//! The targets, and whether each is met.
use crate::{
    figures::{Case, Results, Who},
    rounds::CONNECTIONS,
};
use std::fmt::Write;

/// The numbers of connections at which a server has no time to rest, so that its rate is its cost. Targets are
/// judged at the worse of these; at one connection client and server wait for each other.
const SATURATED: [usize; 2] = [16, 64];

/// One target.
pub(crate) struct Verdict {
    /// What is compared.
    pub(crate) what: &'static str,
    /// What is asked.
    pub(crate) asked: Asked,
    /// What was measured, where it was.
    pub(crate) measured: Option<f64>,
    /// The figure in full.
    pub(crate) detail: String,
}

/// A bound.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Verdict {
    /// `met`, or by how much not.
    pub(crate) fn sentence(&self) -> String {
        let Some(measured) = self.measured else { return "not measured".to_owned() };
        match self.asked {
            Asked::AtLeast(bound) if measured < bound => {
                format!("**not met**: {:.0} % short", (1.0 - measured / bound) * 100.0)
            }
            Asked::AtMost(bound) if measured > bound => {
                format!("**not met**: {:.0} % over", (measured / bound - 1.0) * 100.0)
            }
            Asked::AtLeast(_) | Asked::AtMost(_) => "met".to_owned(),
        }
    }
}

/// All of them, in the order.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let rate = |what, bound, case, other| {
        let figures = CONNECTIONS.map(|connections| results.ratio(case, other, connections));
        compared(what, Asked::AtLeast(bound), figures, " ×")
    };
    let floor = CONNECTIONS.map(|connections| results.over_floor(connections));
    let faster = CONNECTIONS.map(|connections| {
        let cached = results.ratio(Case::Cold, Who::EnvoyCached, connections)?;
        Some(results.ratio(Case::Cold, Who::Envoy, connections)?.min(cached))
    });
    let mut verdicts = vec![
        rate("warm, requests/s over bare hyper", 0.60, Case::Warm, Who::Bare),
        rate(
            "the same, hoped for since a fresh token is handed out again",
            0.80,
            Case::Warm,
            Who::Bare,
        ),
        rate("warm, requests/s over Express", 40.0, Case::Warm, Who::Express),
        rate("warm, requests/s over Envoy with cache", 2.0, Case::Warm, Who::EnvoyCached),
        compared("cold, CPU per request over the floor", Asked::AtMost(1.35), floor, " ×"),
        rate("cold, requests/s over Express", 15.0, Case::Cold, Who::Express),
        compared("cold, requests/s over the faster Envoy", Asked::AtLeast(1.5), faster, " ×"),
    ];
    verdicts.extend(weights(results));
    verdicts
}

fn weights(results: &Results) -> [Verdict; 3] {
    let usher = results.weights.get(&Who::Usher);
    let mebibytes = |kibibytes: u64| kibibytes as f64 / 1_024.0;
    let idle = usher.map(|weight| mebibytes(weight.idle));
    let crowd = results.crowd.map(|crowd| mebibytes(crowd.resident));
    let ready = usher.map(|weight| weight.ready);
    let show =
        |figure: Option<f64>, unit| figure.map_or(String::new(), |it| format!("{it:.1} {unit}"));
    let crowded = results.crowd.map_or(String::new(), |it| {
        format!(" with {}, {:.0} first sights a second", it.identities, it.rate)
    });
    let worst = usher.map_or(String::new(), |it| format!(", slowest {:.1} ms", it.ready_worst));
    [
        Verdict {
            what: "RSS idle, MiB",
            asked: Asked::AtMost(20.0),
            measured: idle,
            detail: show(idle, "MiB"),
        },
        Verdict {
            what: "RSS with 100 000 identities cached, MiB",
            asked: Asked::AtMost(60.0),
            measured: crowd,
            detail: show(crowd, "MiB") + &crowded,
        },
        Verdict {
            what: "exec to `/readyz` 200 with the issuer up, ms",
            asked: Asked::AtMost(50.0),
            measured: ready,
            detail: show(ready, "ms") + &worst,
        },
    ]
}

/// A target that has a figure at each number of connections.
fn compared(what: &'static str, asked: Asked, figures: [Option<f64>; 3], unit: &str) -> Verdict {
    let mut measured: Option<f64> = None;
    let mut detail = String::new();
    for (connections, figure) in CONNECTIONS.into_iter().zip(figures) {
        let Some(figure) = figure else { continue };
        if SATURATED.contains(&connections) {
            measured = Some(match (asked, measured) {
                (_, None) => figure,
                (Asked::AtLeast(_), Some(other)) => other.min(figure),
                (Asked::AtMost(_), Some(other)) => other.max(figure),
            });
        }
        let separator = if detail.is_empty() { "" } else { " · " };
        // Writing to a string cannot fail.
        let _ = write!(detail, "{separator}{figure:.2}{unit}");
    }
    Verdict { what, asked, measured, detail }
}
