//! A store that may be out of reach when usher starts: what identities are made with is pinned as soon as it is there,
//! and before anything is bound in it.
use crate::{
    domain::subject::Subject,
    ports::{
        Reply,
        store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError, StoreError},
    },
};
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// Any store, in which nothing is bound that was not pinned.
#[derive(Debug)]
pub struct PinnedStore {
    store: Arc<dyn BindingStore>,
    /// What was wanted last, until it is pinned.
    wanted: ArcSwapOption<Pin>,
}

impl PinnedStore {
    /// In front of `store`. The last [`BindingStore::pin`] counts, also where it found nobody.
    pub fn new(store: Arc<dyn BindingStore>) -> Self {
        Self { store, wanted: ArcSwapOption::empty() }
    }

    /// Pins what is wanted, unless that was done.
    async fn make_sure(&self) -> Result<(), PinError> {
        let wanted = self.wanted.load_full();
        if let Some(pin) = &wanted {
            self.store.pin(pin).await?;
            // Unless a reload wants something else meanwhile.
            self.wanted.compare_and_swap(&wanted, None);
        }
        Ok(())
    }

    async fn usable(&self) -> Result<(), StoreError> {
        let made_sure = self.make_sure().await;
        if let Err(error @ (PinError::OtherKey(_) | PinError::OtherFormat { .. })) = &made_sure {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                error,
                "identity.key or a format is not the one that the store's identities were made with"
            );
        }
        made_sure.map_err(|error| match error {
            PinError::OtherKey(held) => StoreError::Rekeyed(held),
            PinError::OtherFormat { .. } => StoreError::Reformatted,
            PinError::Store(error) => error,
        })
    }
}

impl BindingStore for PinnedStore {
    fn find<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        self.store.find(subject)
    }

    fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(async move {
            self.usable().await.map_err(BindError::Store)?;
            self.store.bind(sight).await
        })
    }

    fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        Box::pin(async move {
            let wanted = self.wanted.swap(Some(Arc::new(pin.clone())));
            let pinned = self.make_sure().await;
            if matches!(pinned, Err(PinError::OtherKey(_) | PinError::OtherFormat { .. })) {
                // Refused, and so what was wanted before goes on.
                self.wanted.store(wanted);
            }
            pinned
        })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.usable().await?;
            self.store.ping().await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outbound::store::contract::{self, identity, pin, subject},
        ports::store::MemoryStore,
    };
    use std::sync::atomic::{AtomicBool, Ordering};

    const FIRST: &str = "63458b39";
    const SECOND: &str = "00000001";

    /// A store that is away until it is told otherwise.
    #[derive(Debug)]
    struct Away {
        inner: MemoryStore,
        there: AtomicBool,
    }

    impl Away {
        fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
            let there = self.there.load(Ordering::Relaxed);
            if there { Ok(answer) } else { Err(StoreError::Unavailable("away".into())) }
        }
    }

    impl BindingStore for Away {
        fn find<'a>(&'a self, s: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
            Box::pin(async move { self.answer(self.inner.find(s).await)? })
        }

        fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
            Box::pin(async move {
                self.answer(()).map_err(BindError::Store)?;
                self.inner.bind(sight).await
            })
        }

        fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
            Box::pin(async move {
                self.answer(()).map_err(PinError::Store)?;
                self.inner.pin(pin).await
            })
        }

        fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
            Box::pin(async move { self.answer(()) })
        }
    }

    fn away() -> (Arc<Away>, PinnedStore) {
        let away = Away { inner: MemoryStore::new(1000), there: AtomicBool::new(false) };
        let away = Arc::new(away);
        (Arc::clone(&away), PinnedStore::new(away))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_contract_of_every_store() {
        contract::holds(|| Arc::new(PinnedStore::new(Arc::new(MemoryStore::new(1000))))).await;
    }

    #[tokio::test]
    async fn p12_a_store_that_comes_late_gets_the_pin_before_the_first_binding() {
        let (away, store) = away();
        assert!(matches!(store.pin(&pin(FIRST)).await, Err(PinError::Store(_))));
        let sight = FirstSight::of(&subject("corp", "alice"), identity("u-a"));
        assert!(store.bind(&sight).await.is_err());
        away.there.store(true, Ordering::Relaxed);
        store.bind(&sight).await.unwrap();
        assert!(matches!(away.pin(&pin(SECOND)).await, Err(PinError::OtherKey(_))));
    }

    #[tokio::test]
    async fn p12_where_a_late_store_holds_another_key_s_identities_nothing_is_bound() {
        let (away, store) = away();
        assert!(store.pin(&pin(FIRST)).await.is_err());
        away.there.store(true, Ordering::Relaxed);
        away.pin(&pin(SECOND)).await.unwrap();
        away.bind(&FirstSight::of(&subject("corp", "alice"), identity("u-a"))).await.unwrap();
        let bob = subject("corp", "bob");
        assert!(matches!(
            store.bind(&FirstSight::of(&bob, identity("u-b"))).await,
            Err(BindError::Store(StoreError::Rekeyed(held))) if held.to_string() == SECOND
        ));
        assert!(store.ping().await.is_err());
        assert_eq!(store.find(&bob).await.unwrap(), None);
        // Whoever has an identity keeps it.
        assert!(store.find(&subject("corp", "alice")).await.unwrap().is_some());
    }
}
