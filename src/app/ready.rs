//! Readiness, as latches (contract 9): once ready, only a drain makes usher unready. A store or an issuer that
//! fails later must not take every pod out of its Service.
use super::issuers::Watched;
use crate::{
    inbound::health::{Fault, Readiness},
    ports::store::BindingStore,
};
use arc_swap::ArcSwapOption;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What is known of usher's health.
#[derive(Debug)]
pub(super) struct Latches {
    started: AtomicBool,
    was_ready: AtomicBool,
    draining: AtomicBool,
    refused: ArcSwapOption<String>,
    keys: Watched,
    store: Arc<dyn BindingStore>,
}

impl Latches {
    /// Nothing is open, and nothing was ready.
    pub(super) fn new(keys: Watched, store: Arc<dyn BindingStore>) -> Self {
        Self {
            started: AtomicBool::new(false),
            was_ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            refused: ArcSwapOption::empty(),
            keys,
            store,
        }
    }

    /// Every listener is open.
    pub(super) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// No new request should come.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// A changed configuration was refused, for this reason; or `None`, accepted.
    pub(super) fn configuration(&self, refused: Option<String>) {
        self.refused.store(refused.map(Arc::new));
    }

    fn has_what_it_needs(&self) -> bool {
        self.store.answers() && self.keys.load().iter().any(|keys| keys.status().usable)
    }
}

impl Readiness for Latches {
    fn started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    fn ready(&self) -> bool {
        if self.draining.load(Ordering::Acquire) {
            return false;
        }
        if self.was_ready.load(Ordering::Acquire) {
            return true;
        }
        let ready = self.started() && self.has_what_it_needs();
        self.was_ready.fetch_or(ready, Ordering::AcqRel);
        ready
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut add = |part, name: &str, message: &str| {
            faults.push(Fault { part, name: name.to_owned(), message: message.to_owned() });
        };
        for keys in self.keys.load().iter() {
            let status = keys.status();
            let issuer = status.issuer.as_str();
            match (status.usable, status.last_attempt_failed) {
                (true, false) => {}
                (true, true) => {
                    add("issuer", issuer, "its keys cannot be refreshed; known keys go on");
                }
                (false, _) if status.age.is_some() => {
                    add("issuer", issuer, "its keys are too old to be used");
                }
                (false, _) => {
                    add("issuer", issuer, "its keys have not been had yet");
                }
            }
            if status.insecure_http {
                add(
                    "insecure_http",
                    issuer,
                    "it is asked in plain http, as the configuration allows",
                );
            }
        }
        if !self.store.answers() {
            add("store", "", "it does not answer; known users go on");
        }
        if let Some(why) = self.refused.load().as_deref() {
            add("configuration", "", why);
        }
        if self.draining.load(Ordering::Acquire) {
            add("process", "", "it is stopping");
        }
        faults
    }

    fn measure(&self) {
        for keys in self.keys.load().iter() {
            keys.report_age();
        }
    }
}
