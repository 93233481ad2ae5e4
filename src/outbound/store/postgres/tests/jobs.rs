//! What a transaction brings and takes.
use super::{database, driver, number, said};
use crate::outbound::store::sql::{Cell, Driver, Fault, Job, Pace, Row, Tx, Value};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Runs statements, one after the other, and gives the rows of the last.
pub(super) struct Script(pub(super) Vec<&'static str>);

impl Job for Script {
    type Answer = Vec<Row>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::new();
        for sql in &self.0 {
            rows = tx.rows(sql, &[]).await?;
        }
        Ok(rows)
    }
}

struct Values;

impl Job for Values {
    type Answer = Vec<Row>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Vec<Row>, Fault> {
        tx.run(
            "INSERT INTO meta (key, value) VALUES ($1, $2)",
            &["zo\u{eb} \u{674e} '; --".into(), "".into()],
        )
        .await?;
        tx.rows(
            "SELECT key, value, $1, $2, $3, 7, 7 > 1, NULL FROM meta WHERE key = $1",
            &["zo\u{eb} \u{674e} '; --".into(), Value::Int(-1 << 62), Value::NoText],
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_numbers_and_nothing_come_back_as_they_were_sent() {
    let driver = driver(&database().await, 2);
    let name = Cell::Text("zo\u{eb} \u{674e} '; --".into());
    let rows = driver.write(Values, Pace::Request).await.unwrap();
    let wanted = vec![
        name.clone(),
        Cell::Text("".into()),
        name,
        Cell::Int(-1 << 62),
        Cell::Null,
        Cell::Int(7),
        Cell::Int(1),
        Cell::Null,
    ];
    assert_eq!(rows[0].0, wanted);
}

/// Fails in the midst, and says that all is well.
struct Careless;

impl Job for Careless {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        tx.run("INSERT INTO meta (key, value) VALUES ('a', 'b')", &[]).await?;
        assert!(tx.run("INSERT INTO meta (key) VALUES ('c')", &[]).await.is_err());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_statement_failed_is_never_said_to_be_done() {
    let server = database().await;
    let driver = driver(&server, 1);
    assert!(driver.write(Careless, Pace::Request).await.is_err());
    assert_eq!(number(&server, "SELECT count(*) FROM meta WHERE key = 'a'").await, 0);
    // The same connection goes on.
    driver.ping().await.unwrap();
}

/// Counts its runs, and fails as it is told the first times.
struct Unlucky {
    runs: Arc<AtomicU32>,
    misfortunes: u32,
    sql: &'static str,
}

impl Job for Unlucky {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        tx.run("UPDATE meta SET value = value || 'x' WHERE key = 'count'", &[]).await?;
        if self.runs.fetch_add(1, Ordering::Relaxed) < self.misfortunes {
            tx.rows(self.sql, &[]).await?;
        }
        Ok(())
    }
}

/// What a misfortune does to a job that it befalls a number of times: whether it was done, how often it ran, and how
/// often what it did is there.
async fn befallen(misfortune: &'static str, misfortunes: u32) -> (bool, u32, i64) {
    let server = database().await;
    let driver = driver(&server, 2);
    driver.open().await.unwrap();
    said(&server, "INSERT INTO meta (key, value) VALUES ('count', '')").await;
    let sql = if misfortune.len() == 5 {
        said(&server, &raising(misfortune)).await;
        format!("SELECT lost_{}()", misfortune.to_lowercase()).leak()
    } else {
        misfortune
    };
    let runs = Arc::new(AtomicU32::new(0));
    let job = Unlucky { runs: Arc::clone(&runs), misfortunes, sql };
    let done = driver.write(job, Pace::Request).await;
    let count = number(&server, "SELECT length(value)::bigint FROM meta WHERE key = 'count'").await;
    (done.is_ok(), runs.load(Ordering::Relaxed), count)
}

/// A function that fails with this code.
fn raising(code: &str) -> String {
    let name = code.to_lowercase();
    format!(
        "CREATE FUNCTION lost_{name}() RETURNS text LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'hunter2' USING ERRCODE = '{code}'; END $$"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_job_whose_connection_is_cut_is_run_again_and_done_once() {
    let cut = "SELECT pg_terminate_backend(pg_backend_pid())";
    assert_eq!(befallen(cut, 12).await, (true, 13, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_job_that_loses_against_others_is_run_again_and_done_once() {
    for code in ["40001", "40P01", "23505", "55P03", "57P01"] {
        assert_eq!(befallen(code, 9).await, (true, 10, 1), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_loses_again_and_again_is_given_up() {
    assert_eq!(befallen("40001", 1000).await, (false, 10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_server_refuses_is_not_run_again() {
    assert_eq!(befallen("23503", 1).await, (false, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_what_the_server_says_is_not_repeated() {
    let server = database().await;
    let driver = driver(&server, 2);
    driver.open().await.unwrap();
    for code in ["P0001", "23503", "53100"] {
        said(&server, &raising(code)).await;
        let sql = format!("SELECT lost_{}()", code.to_lowercase()).leak();
        let error = driver.write(Script(vec![sql]), Pace::Request).await.unwrap_err();
        let mut text = format!("{error:?}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            text = format!("{text} {error}");
            cause = error.source();
        }
        assert!(text.contains(code) && !text.contains("hunter2"), "{text}");
    }
}

/// Two of these in step are no serial history.
struct Raise(&'static str, &'static str);

impl Job for Raise {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        tx.run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", &[]).await?;
        let sql = "SELECT length(value)::bigint FROM meta WHERE key = $1";
        let length = tx.rows(sql, &[self.0.into()]).await?.first().ok_or(Fault::Damaged)?.int(0)?;
        let more = "x".repeat(usize::try_from(length).unwrap_or(0) + 1);
        let sql = "UPDATE meta SET value = $1 WHERE key = $2";
        tx.run(sql, &[more.as_str().into(), self.1.into()]).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_real_serialization_failures_lose_nothing() {
    let server = database().await;
    let driver = Arc::new(driver(&server, 4));
    driver.open().await.unwrap();
    said(&server, "INSERT INTO meta (key, value) VALUES ('n', '')").await;
    let mut raising = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let driver = Arc::clone(&driver);
        raising.spawn(async move {
            for _ in 0..5 {
                driver.write(Raise("n", "n"), Pace::Request).await.unwrap();
            }
        });
    }
    raising.join_all().await;
    let sql = "SELECT length(value)::bigint FROM meta WHERE key = 'n'";
    assert_eq!(number(&server, sql).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_one_state_and_writes_nothing() {
    let server = database().await;
    let driver = driver(&server, 2);
    let reading = Script(vec!["SELECT 1", "INSERT INTO meta (key, value) VALUES ('a', 'b')"]);
    assert!(driver.read(reading, Pace::Request).await.is_err());
    assert_eq!(number(&server, "SELECT count(*) FROM meta WHERE key = 'a'").await, 0);
    let level = Script(vec!["SELECT current_setting('transaction_isolation')"]);
    let rows = driver.read(level, Pace::Request).await.unwrap();
    assert_eq!(rows[0].0, [Cell::Text("repeatable read".into())]);
}
