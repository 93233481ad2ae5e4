//! A store that fails at each statement in turn, and one whose answer is lost behind the commit.
use super::{
    clock, identity, pin,
    registry::{
        alice, all_rows, author, held, imported, key, link, retire, seen, settled, show, sight,
        signing_in, staged, subject_row, unlink, waiting_row,
    },
    subject,
};
use crate::{
    outbound::store::sql::{Driver, Fault, Job, Pace, Row, SqlStore, Tx, Value},
    ports::{
        registry::{self, Change, Filter, Record, Registry as _, Rekey},
        store::{BindingStore as _, StoreError},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicIsize, Ordering},
};

/// Any driver, failing when it is told to.
#[derive(Debug)]
pub(crate) struct FaultyDriver<D> {
    inner: D,
    fault: Arc<NextFault>,
}

/// Which statement fails next.
#[derive(Debug)]
pub(crate) struct NextFault {
    /// Statements that are still done; negative once one has failed.
    left: AtomicIsize,
    /// Fails one transaction after its commit.
    loses_answer: AtomicBool,
}

impl<D> FaultyDriver<D> {
    pub(crate) fn new(inner: D) -> (Self, Arc<NextFault>) {
        let fault = Arc::new(NextFault {
            left: AtomicIsize::new(isize::MAX),
            loses_answer: AtomicBool::new(false),
        });
        (Self { inner, fault: Arc::clone(&fault) }, fault)
    }

    fn answered<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if self.fault.loses_answer.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Unavailable("the answer is lost".into()));
        }
        answer
    }
}

impl NextFault {
    fn at(&self, statement: usize) {
        self.left.store(isize::try_from(statement).unwrap(), Ordering::Relaxed);
    }

    /// Fails no more. Whether it did.
    fn never(&self) -> bool {
        self.left.swap(isize::MAX, Ordering::Relaxed) < 0
    }

    fn check(&self) -> Result<(), Fault> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Fault::said("unplugged")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Faulty<J> {
    job: J,
    fault: Arc<NextFault>,
}

impl<J: Job> Job for Faulty<J> {
    type Answer = J::Answer;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<J::Answer, Fault> {
        self.job.run(&mut FaultyTx { tx, fault: &self.fault }).await
    }
}

struct FaultyTx<'a, T> {
    tx: &'a mut T,
    fault: &'a NextFault,
}

impl<T: Tx> Tx for FaultyTx<'_, T> {
    const SHARE: &'static str = T::SHARE;

    async fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.fault.check()?;
        self.tx.rows(sql, values).await
    }

    async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        self.fault.check()?;
        self.tx.run(sql, values).await
    }
}

impl<D: Driver> Driver for FaultyDriver<D> {
    fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    async fn read<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        let fault = Arc::clone(&self.fault);
        self.inner.read(Faulty { job, fault }, pace).await
    }

    async fn write<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        let fault = Arc::clone(&self.fault);
        let answer = self.inner.write(Faulty { job, fault }, pace).await;
        self.answered(answer)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn migrate(&self) -> Result<bool, StoreError> {
        self.inner.migrate().await
    }
}

type Store<D> = SqlStore<FaultyDriver<D>>;

/// What somebody wants of the registry.
#[derive(Clone, Copy, Debug)]
enum Wish {
    FirstSight,
    Adopt,
    Link,
    Unlink,
    Retire,
    RetireSubject,
    Erase,
    Rekey,
}

const WISHES: [Wish; 8] = [
    Wish::FirstSight,
    Wish::Adopt,
    Wish::Link,
    Wish::Unlink,
    Wish::Retire,
    Wish::RetireSubject,
    Wish::Erase,
    Wish::Rekey,
];

impl Wish {
    async fn ask<D: Driver>(self, store: &Store<D>) -> Result<(), ()> {
        let own = key(0).derive(&alice());
        let wanted = match self {
            Self::FirstSight => {
                return sight(store, &subject("corp", "new")).await.map(drop).map_err(drop);
            }
            Self::Adopt => {
                let sight = signing_in("adopter", "a@x", true);
                return store.bind(&sight).await.map(drop).map_err(drop);
            }
            Self::Rekey => {
                let (old, new) = (key(0), Some(key(1)));
                let rekey = Rekey { old, new, formats: Vec::new(), keep: false, dry_run: false };
                return store.rekey(&rekey, &author("why")).await.map(drop).map_err(drop);
            }
            Self::Link => link(&own, &subject("other", "bob")),
            Self::Unlink => unlink(&alice()),
            Self::Retire => retire(&own),
            Self::RetireSubject => {
                let subject = subject("corp", "never");
                let derived = (key(0).derive(&subject), key(0).fingerprint());
                Change::RetireSubject { subject, derived }
            }
            Self::Erase => Change::Erase { identity: own, key: Box::new(key(0)) },
        };
        store.change(&wanted, &author("why")).await.map(drop).map_err(drop)
    }
}

/// Runs every statement against stores of `open`, which are empty.
pub(crate) async fn holds<D: Driver>(open: impl Fn() -> D) {
    for wish in WISHES {
        a_failure_at_any_statement_changes_nothing(wish, open()).await;
        what_was_done_though_its_answer_was_lost_is_done_once(wish, open(), open()).await;
    }
    an_import_that_fails_at_any_statement_holds_whole_or_not_at_all(&open).await;
}

async fn prepared<D: Driver>(driver: D) -> (Store<D>, Arc<NextFault>) {
    let (driver, fault) = FaultyDriver::new(driver);
    let store = SqlStore::new(driver, clock());
    store.pin(&pin("63458b39")).await.unwrap();
    seen(&store, "alice").await;
    imported(&store, &[waiting_row("a@x", "old-a")], false).await.unwrap();
    (store, fault)
}

/// All that can be seen of a registry.
async fn snapshot<D: Driver>(store: &Store<D>) -> (Vec<registry::Row>, Vec<Record>) {
    let mut records = Vec::new();
    for record in store.list(&Filter::default(), 100).await.unwrap() {
        records.push(show(store, &record.identity).await);
    }
    (all_rows(store).await, records)
}

async fn a_failure_at_any_statement_changes_nothing<D: Driver>(wish: Wish, driver: D) {
    let (store, fault) = prepared(driver).await;
    let before = snapshot(&store).await;
    for statement in 0.. {
        fault.at(statement);
        let answer = wish.ask(&store).await;
        if !fault.never() {
            assert!(answer.is_ok() && statement > 2, "{wish:?}");
            break;
        }
        assert!(answer.is_err(), "{wish:?} at {statement}");
        assert_eq!(snapshot(&store).await, before, "{wish:?} at {statement}");
    }
    assert_ne!(snapshot(&store).await, before, "{wish:?}");
}

async fn what_was_done_though_its_answer_was_lost_is_done_once<D: Driver>(
    wish: Wish,
    driver: D,
    other: D,
) {
    let ((store, fault), (plain, _)) = (prepared(driver).await, prepared(other).await);
    wish.ask(&plain).await.unwrap();
    fault.loses_answer.store(true, Ordering::Relaxed);
    assert!(wish.ask(&store).await.is_err(), "{wish:?}");
    wish.ask(&store).await.unwrap();
    assert_eq!(snapshot(&store).await, snapshot(&plain).await, "{wish:?}");
}

async fn an_import_that_fails_at_any_statement_holds_whole_or_not_at_all<D: Driver>(
    open: &impl Fn() -> D,
) {
    let rows: Vec<registry::Row> =
        (0..5).map(|n| subject_row(&format!("s{n}"), &format!("old-{n}"))).collect();
    for statement in 0.. {
        let (store, fault) = prepared(open()).await;
        let import = staged(&store, &rows).await;
        fault.at(statement);
        let step = async || {
            store.verify(import, false).await.map_err(drop)?;
            store.apply(import, &author("f")).await.map_err(drop)?;
            while store.settle(clock().now(), 2).await.map_err(drop)? {}
            Ok::<(), ()>(())
        };
        let answer = step().await;
        let failed = fault.never();
        assert_eq!(answer.is_err(), failed, "at {statement}");
        store.abandon(import).await.unwrap();
        // What anybody sees before and after the rest is done is all of it, or nothing.
        let first = store.holders(&[subject("corp", "s0")]).await.unwrap().pop().flatten();
        settled(&store).await;
        for n in 0..5 {
            let there = held(&store, &subject("corp", &format!("s{n}"))).await;
            assert_eq!(there.is_some(), first.is_some(), "at {statement}");
        }
        let known = store.record(&identity("old-4")).await.unwrap().is_some();
        assert_eq!(known, first.is_some(), "at {statement}");
        if !failed {
            assert!(first.is_some());
            break;
        }
    }
}
