//! What operators and the app do with the registry, whichever face they come through (contract 4).
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey},
        subject::{Namespace, Subject},
        time::Timestamp,
    },
    ports::{
        clock::Clock,
        registry::{
            Author, Change, ChangeError, Changed, Filter, Holding, Record, Registry, Rekey, Rekeyed,
        },
        store::{BindError, Binding, FirstSight, Given, Origin, StoreError},
    },
};
use std::{collections::HashMap, sync::Arc};

/// The registry with what a change of it needs: the identity key, the configured formats and the time.
#[derive(Clone, Debug)]
pub struct Registrar {
    store: Arc<dyn Registry>,
    key: IdentityKey,
    namespaces: Arc<HashMap<Namespace, Naming>>,
    clock: Arc<dyn Clock>,
}

/// How a namespace's identities are made, as far as it concerns those who look one up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The format in one line, as the store keeps it.
    pub line: Box<str>,
    /// Whether the subject alone tells the identity.
    pub derives: bool,
    /// Until then a first sign-in may take an identity that waits for it instead.
    pub adopts_until: Option<Timestamp>,
}

/// Who asks for a change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `cli:<user>` or `api:<token name>`.
    pub who: Box<str>,
    /// `--reason`.
    pub why: Box<str>,
}

/// What the app learns of a subject (contract 4, last paragraph).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who was asked about.
    pub subject: Subject,
    /// Their identity; `None` where only a token can tell.
    pub identity: Option<ChatIdentity>,
    /// Whether the registry has it already.
    pub known: bool,
}

/// How many rows of an import one step of settling moves.
const SETTLED_AT_ONCE: usize = 500;

impl Registrar {
    /// Works on `store`, whose identities are derived with `key`.
    pub fn new(
        store: Arc<dyn Registry>,
        key: IdentityKey,
        namespaces: HashMap<Namespace, Naming>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, key, namespaces: Arc::new(namespaces), clock }
    }

    /// The store itself, for `import`, `export` and `migrate`.
    pub fn store(&self) -> &Arc<dyn Registry> {
        &self.store
    }

    /// The key identities are derived with.
    pub fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// Signs an order with the time.
    pub fn author(&self, order: &Order) -> Author {
        Author { who: order.who.clone(), why: order.why.clone(), at: self.clock.now() }
    }

    /// Up to `limit` identities in byte order, without their history. First finishes an import that holds already.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.settle().await?;
        self.store.list(filter, limit).await
    }

    /// All about an identity, if the registry knows it. Writes nothing.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn show(&self, identity: &ChatIdentity) -> Result<Option<Record>, StoreError> {
        self.store.record(identity).await
    }

    /// All about the identity a subject has. Writes nothing.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn show_subject(&self, subject: &Subject) -> Result<Option<Record>, StoreError> {
        match self.holding(subject).await? {
            Some(holding) => self.show(&holding.identity).await,
            None => Ok(None),
        }
    }

    async fn holding(&self, subject: &Subject) -> Result<Option<Holding>, StoreError> {
        let held = self.store.holders(std::slice::from_ref(subject)).await?;
        Ok(held.into_iter().next().flatten())
    }

    /// Gives `subject` the identity as well.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn link(
        &self,
        identity: ChatIdentity,
        subject: Subject,
        order: &Order,
    ) -> Result<Changed, ChangeError> {
        self.change(Change::Link { identity, subject }, order).await
    }

    /// Makes `subject` as if it had never been seen.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn unlink(&self, subject: Subject, order: &Order) -> Result<Changed, ChangeError> {
        self.change(Change::Unlink { subject }, order).await
    }

    /// Ends the identity for good.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn retire(
        &self,
        identity: ChatIdentity,
        order: &Order,
    ) -> Result<Changed, ChangeError> {
        self.change(Change::Retire { identity }, order).await
    }

    /// Ends the subject's identity for good, also where the subject was never seen.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn retire_subject(
        &self,
        subject: Subject,
        order: &Order,
    ) -> Result<Changed, ChangeError> {
        let derived = (self.key.derive(&subject), self.key.fingerprint());
        self.change(Change::RetireSubject { subject, derived }, order).await
    }

    /// Forgets whose the identity was, and what happened to it; it stays reserved.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn erase(
        &self,
        identity: ChatIdentity,
        order: &Order,
    ) -> Result<Changed, ChangeError> {
        self.change(Change::Erase { identity, key: Box::new(self.key.clone()) }, order).await
    }

    async fn change(&self, change: Change, order: &Order) -> Result<Changed, ChangeError> {
        self.refuse_the_forgetful()?;
        self.settle().await.map_err(ChangeError::Store)?;
        self.store.change(&change, &self.author(order)).await
    }

    /// Makes identities with another key or in other formats from now on.
    ///
    /// # Errors
    /// Each variant of [`ChangeError`].
    pub async fn rekey(&self, rekey: &Rekey, order: &Order) -> Result<Rekeyed, ChangeError> {
        self.refuse_the_forgetful()?;
        self.settle().await.map_err(ChangeError::Store)?;
        self.store.rekey(rekey, &self.author(order)).await
    }

    fn refuse_the_forgetful(&self) -> Result<(), ChangeError> {
        if self.store.is_durable() { Ok(()) } else { Err(ChangeError::NotDurable) }
    }

    /// What each subject's identity is, or will be once they sign in. Writes nothing.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn look_up(&self, subjects: &[Subject]) -> Result<Vec<Sighting>, StoreError> {
        let held = self.store.holders(subjects).await?;
        let mut sightings = Vec::with_capacity(subjects.len());
        for (subject, held) in subjects.iter().zip(held) {
            let known = held.is_some();
            let identity = match held {
                Some(holding) => Some(holding.identity),
                None => self.foreseen(subject).await?,
            };
            sightings.push(Sighting { subject: subject.clone(), identity, known });
        }
        Ok(sightings)
    }

    /// What a first sign-in would give a subject, where that can be said without its token.
    async fn foreseen(&self, subject: &Subject) -> Result<Option<ChatIdentity>, StoreError> {
        let now = self.clock.now();
        let Some(naming) = self.namespaces.get(subject.namespace()) else { return Ok(None) };
        if !naming.derives || naming.adopts_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        let sight = FirstSight {
            subject: subject.clone(),
            identity: self.key.derive(subject),
            origin: Origin::Derived(self.key.fingerprint()),
            key: self.key.clone(),
            format: naming.line.clone(),
            adopt: None,
            at: now,
        };
        match self.store.foresee(&sight).await {
            Ok(Given { binding: Binding::Active(identity), .. }) => Ok(Some(identity)),
            // It would be refused: whatever was named here, the sign-in would not give it.
            Ok(Given { binding: Binding::Retired, .. })
            | Err(
                BindError::Taken
                | BindError::Unverified
                | BindError::Store(StoreError::Rekeyed(_) | StoreError::Reformatted),
            ) => Ok(None),
            Err(BindError::Store(cause)) => Err(cause),
        }
    }

    /// Finishes the import that holds already, if its process did not.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn settle(&self) -> Result<(), StoreError> {
        while self.store.settle(self.clock.now(), SETTLED_AT_ONCE).await? {}
        Ok(())
    }
}
