//! What usher does by itself while it serves: for its store, and for its readiness.
use super::{ready::Latches, tasks::Stop};
use crate::{
    inbound::health::Readiness as _,
    outbound::store::cached::CachedStore,
    ports::{clock::Clock, registry::Registry, store::BindingStore as _},
};
use std::{sync::Arc, time::Duration};

/// How often the store is asked what changed: what an operator does holds within 2 s on every sidecar.
const FEED: Duration = Duration::from_secs(1);

/// After how many of those it is also asked whether it can be written. `store.staleFor` counts from its last answer, and
/// users who are all remembered would never ask it.
const PING: u32 = 10;

/// Follows the store's changes until `stop`.
pub(super) async fn watch(store: Arc<CachedStore>, stop: Stop) {
    let mut stop = std::pin::pin!(stop.requested());
    let mut failing = false;
    for round in 1_u32.. {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(FEED) => {}
        }
        let looked = match store.follow().await {
            Ok(()) if failing || round.is_multiple_of(PING) => store.ping().await,
            Ok(()) => continue,
            Err(error) => Err(error),
        };
        match (looked, failing) {
            (Err(error), false) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "the store cannot be used; users who are known go on, others get 503"
                );
                failing = true;
            }
            (Ok(()), true) => {
                tracing::info!("the store can be used again");
                failing = false;
            }
            (Err(_), true) | (Ok(()), false) => {}
        }
    }
}

/// How often usher looks whether it is ready, until it was. Keys and a store may go again before a probe's turn comes.
const NOTICE: Duration = Duration::from_millis(100);

/// Notices the first time that usher is ready, whether or not anybody asks (contract 9), and waits for `stop`.
pub(super) async fn notice(latches: Arc<Latches>, stop: Stop) {
    let noticed = async {
        // Looking is what latches.
        while !latches.ready() {
            tokio::time::sleep(NOTICE).await;
        }
        // A task that ended would be one that broke.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stop.requested() => {}
        () = noticed => {}
    }
}

/// How often imports are looked after whose process has gone.
const UPKEEP: Duration = Duration::from_secs(15);

/// How many of their rows are moved at once.
const ROWS: usize = 500;

/// Finishes, or clears away, what others left of their imports, until `stop`.
pub(super) async fn settle(registry: Arc<dyn Registry>, clock: Arc<dyn Clock>, stop: Stop) {
    let mut stop = std::pin::pin!(stop.requested());
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(UPKEEP) => {}
        }
        loop {
            let moved = tokio::select! {
                () = &mut stop => return,
                moved = registry.tidy(clock.now(), ROWS) => moved,
            };
            // A store that is silent is noted elsewhere.
            if !moved.unwrap_or(false) {
                break;
            }
        }
    }
}
