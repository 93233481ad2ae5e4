//! A transaction on one connection.
use super::{
    fault::Trouble,
    link::Link,
    values::{Parameter, row},
};
use crate::outbound::store::sql::{Fault, Row, Tx, Value};
use futures_util::{FutureExt as _, future::try_join};
use std::{future::Future, time::Duration};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};

/// How long the answer to `BEGIN` is awaited, which no lock can hold up: a connection that was idle may lead nowhere
/// by now, and nothing says so.
const ALIVE: Duration = Duration::from_secs(2);

/// How long the server bears a transaction of which it hears nothing: a process that was stopped in the midst of one
/// holds up all others.
const SILENT_MILLIS: u32 = 10_000;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It sees one state of the database.
    Read,
    /// It takes the rows it decides on; what it reads otherwise is what holds at each statement.
    Write,
}

impl Access {
    fn begin(self, left: Duration) -> String {
        let begin = match self {
            Self::Read => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Write => "ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        // For this transaction only: behind a pooler the connection is somebody else's afterwards.
        format!(
            "BEGIN {begin}; SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {SILENT_MILLIS}",
            // 0 would be no limit.
            left.as_millis().max(1)
        )
    }
}

/// A transaction that is open.
#[derive(Debug)]
pub(super) struct PgTx<'a> {
    link: &'a mut Link,
    access: Access,
    /// Whether statements are sent whole each time, for a pooler that mixes prepared ones up.
    whole: bool,
    /// Sent ahead of the first statement, without a wait between them.
    begin: Option<String>,
    /// What the first failed statement came to. Nothing can be committed after it: `COMMIT` would say that all is
    /// well, and do nothing.
    failed: Option<Trouble>,
}

impl<'a> PgTx<'a> {
    /// Begins. Each statement gets at most `left`.
    pub(super) async fn begin(
        link: &'a mut Link,
        access: Access,
        left: Duration,
        whole: bool,
    ) -> Result<Self, Trouble> {
        let mut tx = Self { link, access, whole, begin: Some(access.begin(left)), failed: None };
        // Whatever follows a `BEGIN` that failed would be done for good, each by itself. Reading does no harm.
        if access == Access::Write {
            tx.begun().await?;
        }
        Ok(tx)
    }

    /// Ends well: what was written is durable.
    pub(super) async fn commit(mut self) -> Result<(), Trouble> {
        if let Some(trouble) = self.failed.take() {
            return Err(trouble);
        }
        match self.access {
            Access::Read => self.leave(),
            Access::Write => self.link.batch("COMMIT").await?,
        }
        Ok(())
    }

    /// Ends without a trace. Returns why, and whether the connection is in order.
    pub(super) async fn abandon(mut self, fault: Fault) -> (Trouble, bool) {
        let trouble = self.failed.take().unwrap_or_else(|| fault.into());
        let in_order = match &trouble {
            Trouble::Broken => false,
            Trouble::Unreachable(_)
            | Trouble::Unfit(_)
            | Trouble::Lost
            | Trouble::Forgotten(_)
            | Trouble::Standby
            | Trouble::Slow
            | Trouble::Crowded
            | Trouble::Damaged
            | Trouble::Refused(_)
            | Trouble::Said(_) => {
                let rolled_back = timeout(ALIVE, self.link.batch("ROLLBACK")).await;
                rolled_back.is_ok_and(|rolled_back| rolled_back.is_ok())
            }
        };
        (trouble, in_order)
    }

    /// Ends a transaction that has only read. Nobody needs to wait for it: what comes next on this connection is
    /// behind it.
    fn leave(&mut self) {
        if self.begin.is_none() {
            let _ = self.link.client.batch_execute("COMMIT").now_or_never();
        }
    }

    async fn begun(&mut self) -> Result<(), Trouble> {
        match self.begin.take() {
            Some(begin) => sent(self.link, &begin).await,
            None => Ok(()),
        }
    }

    /// Runs `sql`, behind `BEGIN` where that was not sent yet.
    async fn answered<S: Statement>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<S, Fault> {
        let asked = self.asked(sql, values).await;
        asked.map_err(|trouble| {
            let fault = trouble.as_fault();
            self.failed.get_or_insert(trouble);
            fault
        })
    }

    async fn asked<S: Statement>(&mut self, sql: &str, values: &[Value<'_>]) -> Result<S, Trouble> {
        let values: Vec<_> = values.iter().map(|value| Parameter(*value)).collect();
        let types: Vec<_> = values.iter().map(Parameter::kind).collect();
        let statement = if self.whole {
            None
        } else {
            // To prepare it is a question of its own, and asked inside the transaction.
            if !self.link.has(sql) {
                self.begun().await?;
            }
            Some(self.link.prepare(sql, &types).await?)
        };
        let begin = self.begin.take();
        let link = &*self.link;
        let opening = async {
            match begin {
                Some(begin) => sent(link, &begin).await,
                None => Ok(()),
            }
        };
        let answer = async {
            let answer = match &statement {
                Some(statement) => S::prepared(link, statement, &values).await,
                None => S::whole(link, sql, &values, types).await,
            };
            answer.map_err(|error| Trouble::of(&error))
        };
        // In this order they are sent.
        Ok(try_join(opening, answer).await?.1)
    }
}

async fn sent(link: &Link, begin: &str) -> Result<(), Trouble> {
    timeout(ALIVE, link.batch(begin)).await.unwrap_or(Err(Trouble::Broken))
}

impl Tx for PgTx<'_> {
    const SHARE: &'static str = " FOR SHARE";

    async fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        let found: Vec<tokio_postgres::Row> = self.answered(sql, values).await?;
        let rows = found.iter().map(row).collect::<Result<_, _>>();
        rows.inspect_err(|_| {
            self.failed.get_or_insert(Trouble::Damaged);
        })
    }

    async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        self.answered(sql, values).await
    }
}

/// What a statement is asked for: its rows, or how many it changed.
trait Statement: Sized + Send {
    fn prepared(
        link: &Link,
        statement: &tokio_postgres::Statement,
        values: &[Parameter<'_>],
    ) -> impl Future<Output = Result<Self, tokio_postgres::Error>> + Send;

    fn whole(
        link: &Link,
        sql: &str,
        values: &[Parameter<'_>],
        types: Vec<Type>,
    ) -> impl Future<Output = Result<Self, tokio_postgres::Error>> + Send;
}

impl Statement for Vec<tokio_postgres::Row> {
    async fn prepared(
        link: &Link,
        statement: &tokio_postgres::Statement,
        values: &[Parameter<'_>],
    ) -> Result<Self, tokio_postgres::Error> {
        link.client.query(statement, &borrowed(values)).await
    }

    async fn whole(
        link: &Link,
        sql: &str,
        values: &[Parameter<'_>],
        types: Vec<Type>,
    ) -> Result<Self, tokio_postgres::Error> {
        let pairs: Vec<_> = borrowed(values).into_iter().zip(types).collect();
        link.client.query_typed(sql, &pairs).await
    }
}

impl Statement for u64 {
    async fn prepared(
        link: &Link,
        statement: &tokio_postgres::Statement,
        values: &[Parameter<'_>],
    ) -> Result<Self, tokio_postgres::Error> {
        link.client.execute(statement, &borrowed(values)).await
    }

    async fn whole(
        link: &Link,
        sql: &str,
        values: &[Parameter<'_>],
        types: Vec<Type>,
    ) -> Result<Self, tokio_postgres::Error> {
        let pairs: Vec<_> = borrowed(values).into_iter().zip(types).collect();
        link.client.execute_typed(sql, &pairs).await
    }
}

fn borrowed<'a>(values: &'a [Parameter<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
