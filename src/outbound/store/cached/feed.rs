//! The feed of changes that keeps the memory true.
use super::{CachedStore, millis, outcome::Outcome};
use crate::ports::{
    registry::{Changes, Edition},
    store::StoreError,
};
use std::sync::atomic::Ordering;

impl CachedStore {
    /// Asks what changed since it was last asked, and forgets that. Call it at least every second.
    ///
    /// # Errors
    /// The store cannot answer; nothing is forgotten then.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        let since = Edition(self.followed.load(Ordering::Relaxed));
        let changes = registry.changes(since).await;
        self.note("changes", Outcome::of(changes.as_ref().err()));
        let Changes { edition, subjects } = changes?;
        let now = millis(self.clock.uptime());
        for key in self.recent.over(now) {
            self.bindings.invalidate(&key).await;
        }
        match subjects {
            Some(subjects) if subjects.is_empty() => {}
            Some(subjects) => {
                self.recent.add(&subjects, now);
                for key in &subjects {
                    self.bindings.invalidate(key).await;
                }
                self.edition.fetch_add(1, Ordering::Release);
            }
            None => {
                self.bindings.invalidate_all();
                self.edition.fetch_add(1, Ordering::Release);
            }
        }
        self.followed.store(edition.0, Ordering::Relaxed);
        Ok(())
    }
}
