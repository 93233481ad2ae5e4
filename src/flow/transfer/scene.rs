//! A registry in memory for the tests of this room: imports and exports, and nothing else.
use super::{Complaint, Format, ImportFailure, Imported, Options, Progress, Source, import};
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey, KeyFingerprint},
        secret::Secret,
        subject::Subject,
        time::Timestamp,
    },
    flow::registry::{Order, Registrar},
    ports::{
        Reply,
        clock::StoppedClock,
        registry::{
            Author, Change, ChangeError, Changed, Changes, Clash, ClashKind, Conflict, Edition,
            Filter, Holding, ImportError, ImportId, Owner, Record, Registry, Rekey, Rekeyed, Row,
            Verified,
        },
        store::{BindError, FirstSight, Given, StoreError},
    },
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

/// What the fake holds, and what was asked of it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Rows that hold.
    pub(super) held: Vec<Row>,
    /// What is laid aside: those of an import that holds are moved by settling, others cleared away.
    pub(super) aside: Vec<(u64, Row)>,
    pub(super) stage: Stage,
    /// The calls, by name, in a row counted once.
    pub(super) calls: Vec<&'static str>,
    /// The most rows that came at once.
    pub(super) most: usize,
    /// So many times somebody's first sight comes between.
    pub(super) overtakes: usize,
    /// The key that its identities were made with, where it is not the one that is configured.
    pub(super) other_key: Option<KeyFingerprint>,
    /// The call that fails.
    pub(super) fails: Option<Failing>,
}

/// A call, and what comes of it.
type Failing = (&'static str, fn() -> ImportError);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Idle,
    Open,
    Applied,
    GivenUp,
}

#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<State>);

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn settle_some(&self, limit: usize) -> bool {
        let mut state = self.state();
        if matches!(state.stage, Stage::Idle | Stage::Open) {
            return false;
        }
        let count = limit.min(state.aside.len());
        let moved: Vec<_> = state.aside.drain(..count).map(|(_, row)| row).collect();
        if state.stage == Stage::Applied {
            state.held.extend(moved);
        }
        if state.aside.is_empty() {
            state.stage = Stage::Idle;
        }
        state.stage != Stage::Idle
    }

    fn called(&self, name: &'static str) -> Result<MutexGuard<'_, State>, ImportError> {
        let mut state = self.state();
        if state.calls.last() != Some(&name) {
            state.calls.push(name);
        }
        match state.fails {
            Some((call, why)) if call == name => Err(why()),
            Some(_) | None => Ok(state),
        }
    }
}

pub(super) fn key() -> IdentityKey {
    IdentityKey::new(&Secret::new((0..64).collect::<Vec<u8>>())).unwrap()
}

pub(super) fn registrar(store: &Arc<Fake>) -> Registrar {
    let clock = Arc::new(StoppedClock::at(Timestamp(1_795_428_900)));
    let store: Arc<dyn Registry> = Arc::clone(store) as Arc<dyn Registry>;
    Registrar::new(store, key(), HashMap::new(), clock)
}

pub(super) const CSV: Options =
    Options { format: Format::Csv, allow_links: false, unclaimed: false, dry_run: false };

/// A file that comes in pieces, and perhaps breaks off.
pub(super) struct Pieces {
    pub(super) left: VecDeque<Bytes>,
    pub(super) breaks: bool,
}

impl Pieces {
    pub(super) fn of(text: &str, size: usize) -> Self {
        let left = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        Self { left, breaks: false }
    }
}

impl Source for Pieces {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.left.pop_front() {
            None if self.breaks => Err(io::Error::other("broken off")),
            next => Ok(next),
        }
    }
}

/// Takes a file, and gives the progress that was told as well.
pub(super) async fn take(
    store: &Arc<Fake>,
    source: impl Source,
    options: Options,
) -> (Result<Imported, ImportFailure>, Vec<Progress>) {
    let mut told = Vec::new();
    let order = Order { who: "cli:test".into(), why: "users.csv".into() };
    let registrar = registrar(store);
    let taken = import(&registrar, source, options, &order, &mut |now| told.push(now)).await;
    (taken, told)
}

pub(super) fn lines(complaints: &[Complaint]) -> Vec<u64> {
    complaints.iter().map(|complaint| complaint.line).collect()
}

impl Registry for Fake {
    fn foresee<'a>(&'a self, _: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        unimplemented!()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn rows<'a>(
        &'a self,
        after: Option<&'a Row>,
        limit: usize,
    ) -> Reply<'a, Result<Vec<Row>, StoreError>> {
        let mut rows = self.state().held.clone();
        rows.sort_by(|a, b| a.order().cmp(&b.order()));
        rows.retain(|row| after.is_none_or(|after| row.order() > after.order()));
        rows.truncate(limit);
        Box::pin(async { Ok(rows) })
    }

    fn begin_import<'a>(&'a self, _: &'a Author) -> Reply<'a, Result<ImportId, ImportError>> {
        let begun = self.called("begin").map(|mut state| {
            state.stage = Stage::Open;
            ImportId(7)
        });
        Box::pin(async { begun })
    }

    fn stage<'a>(
        &'a self,
        _: ImportId,
        rows: &'a [(u64, Row)],
    ) -> Reply<'a, Result<(), ImportError>> {
        let staged = self.called("stage").map(|mut state| {
            state.most = state.most.max(rows.len());
            state.aside.extend_from_slice(rows);
        });
        Box::pin(async { staged })
    }

    fn verify(&self, _: ImportId, allow_links: bool) -> Reply<'_, Result<Verified, ImportError>> {
        let verified = self.called("verify").map(|state| {
            let known = state.aside.iter().filter(|(_, row)| state.held.contains(row)).count();
            let others = |line: u64| {
                let before = state.aside.iter().take_while(move |(at, _)| *at != line);
                state.held.iter().chain(before.map(|(_, row)| row))
            };
            let mut clashes = Vec::new();
            for (line, row) in &state.aside {
                if others(*line).any(|o| o.owner == row.owner && o.identity != row.identity) {
                    clashes.push(Clash { line: *line, why: ClashKind::HasAnother });
                }
                let shared =
                    others(*line).any(|o| o.owner != row.owner && o.identity == row.identity);
                if shared && !allow_links {
                    clashes.push(Clash { line: *line, why: ClashKind::Shared });
                }
            }
            let fresh = (state.aside.len() - known) as u64;
            let clashes_total = clashes.len() as u64;
            clashes.truncate(1_000);
            Verified { fresh, known: known as u64, clashes, clashes_total }
        });
        Box::pin(async { verified })
    }

    fn apply<'a>(&'a self, _: ImportId, _: &'a Author) -> Reply<'a, Result<(), ImportError>> {
        let applied = self.called("apply").and_then(|mut state| {
            if state.overtakes > 0 {
                state.overtakes -= 1;
                return Err(ImportError::Overtaken);
            }
            state.stage = Stage::Applied;
            Ok(())
        });
        Box::pin(async { applied })
    }

    fn settle(&self, _: Timestamp, limit: usize) -> Reply<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.settle_some(limit)) })
    }

    fn abandon(&self, _: ImportId) -> Reply<'_, Result<(), StoreError>> {
        let abandoned = self.called("abandon").map(|mut state| state.stage = Stage::GivenUp);
        Box::pin(async { abandoned.map_err(|_| StoreError::Damaged) })
    }

    fn changes(&self, _: Edition) -> Reply<'_, Result<Changes, StoreError>> {
        unimplemented!()
    }

    fn holders<'a>(
        &'a self,
        _: &'a [Subject],
    ) -> Reply<'a, Result<Vec<Option<Holding>>, StoreError>> {
        unimplemented!()
    }

    fn record<'a>(&'a self, _: &'a ChatIdentity) -> Reply<'a, Result<Option<Record>, StoreError>> {
        unimplemented!()
    }

    fn list<'a>(&'a self, _: &'a Filter, _: usize) -> Reply<'a, Result<Vec<Record>, StoreError>> {
        unimplemented!()
    }

    fn change<'a>(
        &'a self,
        _: &'a Change,
        _: &'a Author,
    ) -> Reply<'a, Result<Changed, ChangeError>> {
        unimplemented!()
    }

    fn rekey<'a>(&'a self, _: &'a Rekey, _: &'a Author) -> Reply<'a, Result<Rekeyed, ChangeError>> {
        let other = self.state().other_key;
        let answer = match other {
            Some(held) => Err(Conflict::OtherKey(held).into()),
            None => Ok(Rekeyed::default()),
        };
        Box::pin(async { answer })
    }

    fn migrate(&self) -> Reply<'_, Result<bool, StoreError>> {
        unimplemented!()
    }
}

pub(super) fn subject(name: &str, identity: &str) -> Row {
    Row {
        owner: Owner::Subject("corp".into(), name.into()),
        identity: ChatIdentity::imported(identity).unwrap(),
        is_retired: false,
        derived_with: None,
    }
}
