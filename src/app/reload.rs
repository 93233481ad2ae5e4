//! Notices a changed configuration, secret or certificate, and a SIGHUP (contract 2, "reloads").
use crate::{outbound::files::Glance, ports::clock::Clock};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

/// How often files are looked at. A change must show twice, unchanged, before it is read, so that a file that is
/// being written is left alone; both looks and the reading fit into the contract's 2 s.
const LOOK: Duration = Duration::from_millis(500);
/// How often a refused configuration is tried, and complained of, again.
const REMIND: Duration = Duration::from_mins(5);

/// What came of reading everything anew.
#[derive(Debug)]
pub(super) struct Reread {
    /// Every file that was read, also where it was refused.
    pub(super) files: Vec<PathBuf>,
    /// Whether the new settings are in force.
    pub(super) accepted: bool,
}

/// Reads everything anew, and works with it where it can be.
pub(super) trait Reader: Send {
    /// Does it, and tells what came of it.
    fn reread(&mut self) -> impl Future<Output = Reread> + Send;
}

/// Has `reader` read whenever one of the files it read last looks different, and at each SIGHUP. `seen` is how
/// `files` looked when they were read. Never returns: whoever runs it ends it.
///
/// # Errors
/// The host gives no signal handler.
pub(super) async fn watch(
    (mut files, seen): (Vec<PathBuf>, Glance),
    clock: Arc<dyn Clock>,
    mut reader: impl Reader,
) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut applied, mut refused_at) = (seen.clone(), seen, None);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = look.tick() => false,
        };
        let now = glance(&files).await;
        let settled = now == last && now != applied;
        let remind = refused_at.is_some_and(|at| clock.uptime().saturating_sub(at) >= REMIND);
        last = now.clone();
        if asked || settled || remind {
            let outcome = reader.reread().await;
            // Files that were not watched before count as changed since: at worst they are read once more.
            applied = if outcome.files == files { now } else { Glance::default() };
            files = outcome.files;
            refused_at = (!outcome.accepted).then(|| clock.uptime());
        }
    }
}

/// Looks at files without holding up other tasks: a network file system may take its time.
async fn glance(files: &[PathBuf]) -> Glance {
    let files = files.to_vec();
    tokio::task::spawn_blocking(move || Glance::at(&files)).await.unwrap_or_default()
}
