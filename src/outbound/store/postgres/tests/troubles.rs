//! Servers that go away, hang, or forget.
use super::{database, driver, jobs::Script, number, said};
use crate::outbound::store::{
    postgres::{PostgresHost, PostgresSettings},
    sql::{Driver, Fault, Job, Pace, Row, Tx},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";

/// Waits until nobody but the asker does anything in the database.
async fn quiet(server: &PostgresSettings) {
    for _ in 0..100 {
        if number(server, OTHERS).await == 0 {
            return;
        }
        said(server, "SELECT pg_sleep(0.05)").await;
    }
    panic!("somebody is still at work");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_long_is_given_up_here_and_there() {
    let server = database().await;
    let driver = driver(&server, 1);
    driver.open().await.unwrap();
    let began = Instant::now();
    let sleeping = Script(vec!["SELECT CAST(pg_sleep(60) AS TEXT)"]);
    let error = driver.write(sleeping, Pace::Request).await.unwrap_err();
    assert!(format!("{error:?}").contains("Slow"), "{error:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
    quiet(&server).await;
    driver.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_waits_for_any_more_leaves_no_transaction_behind() {
    let server = database().await;
    let driver = driver(&server, 1);
    driver.open().await.unwrap();
    let holding = Script(vec![
        "UPDATE meta SET value = value WHERE key = 'edition' RETURNING value",
        "SELECT CAST(pg_sleep(3) AS TEXT)",
    ]);
    let held =
        tokio::time::timeout(Duration::from_millis(500), driver.write(holding, Pace::Request));
    assert!(held.await.is_err());
    let again = Script(vec!["UPDATE meta SET value = value WHERE key = 'edition' RETURNING value"]);
    assert_eq!(driver.write(again, Pace::Request).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_mixes_up_prepared_statements_is_got_along_with() {
    let server = database().await;
    let driver = driver(&server, 1);
    let count = || Script(vec!["SELECT count(*) FROM meta"]);
    driver.read(count(), Pace::Request).await.unwrap();
    // What was prepared is gone, as on another connection behind a pooler.
    for _ in 0..3 {
        let forgetting = Script(vec!["DEALLOCATE ALL", "SELECT count(*) FROM meta"]);
        assert_eq!(driver.write(forgetting, Pace::Request).await.unwrap().len(), 1);
        driver.read(count(), Pace::Request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_silent_server_holds_nobody_up_beyond_the_deadline() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let host = PostgresHost::Address("127.0.0.1".parse().unwrap());
    let server = PostgresSettings { host, port, ..super::server() };
    let driver = Arc::new(driver(&server, 2));
    let began = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let driver = Arc::clone(&driver);
        asking.spawn(async move { driver.ping().await.is_err() });
    }
    assert!(asking.join_all().await.into_iter().all(|failed| failed));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_work_leaves_a_connection_to_requests() {
    let server = database().await;
    let driver = Arc::new(driver(&server, 2));
    driver.open().await.unwrap();
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let driver = Arc::clone(&driver);
        working.spawn(async move {
            let sleeping = Script(vec!["SELECT CAST(pg_sleep(0.5) AS TEXT)"]);
            driver.write(sleeping, Pace::Bulk).await.unwrap();
        });
    }
    let began = Instant::now();
    for _ in 0..10 {
        driver.ping().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(450), "{:?}", began.elapsed());
    working.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_thousand_jobs_while_every_connection_is_cut_again_and_again_are_all_done() {
    let server = database().await;
    let driver = Arc::new(driver(&server, 4));
    driver.open().await.unwrap();
    said(&server, "INSERT INTO meta (key, value) VALUES ('a', '')").await;
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let driver = Arc::clone(&driver);
        working.spawn(async move {
            for _ in 0..125 {
                let job = Script(vec![
                    "SELECT value FROM meta WHERE key = 'a' FOR SHARE",
                    "SELECT count(*) FROM identities",
                ]);
                driver.write(job, Pace::Request).await.unwrap();
            }
        });
    }
    let cutting = async {
        loop {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid(); \
                       SELECT pg_sleep(0.02)";
            said(&server, sql).await;
        }
    };
    tokio::select! {
        () = cutting => {}
        () = async { while working.join_next().await.transpose().unwrap().is_some() {} } => {}
    }
}

/// One of many steps.
struct Patient;

impl Job for Patient {
    type Answer = Vec<Row>;
    const PATIENT: bool = true;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Vec<Row>, Fault> {
        tx.rows("SELECT count(*) FROM meta", &[]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_step_of_many_waits_for_a_server_that_is_away_and_others_are_told_at_once() {
    let server = database().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = PostgresSettings { port: nobody.local_addr().unwrap().port(), ..server.clone() };
    drop(nobody);
    // Who never was there may be a wrong one.
    assert!(driver(&away, 2).write(Patient, Pace::Aside).await.is_err());
    let driver = driver(&server, 2);
    driver.open().await.unwrap();
    driver.follow(away).unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    said(&server, cut).await;
    let count = || Script(vec!["SELECT count(*) FROM meta"]);
    assert!(driver.write(count(), Pace::Bulk).await.is_err());
    let back = async {
        for _ in 0..5 {
            assert!(driver.write(count(), Pace::Bulk).await.is_err());
        }
        // Longer than any other pause.
        tokio::time::sleep(Duration::from_secs(1)).await;
        driver.follow(server.clone()).unwrap();
    };
    let (waited, read, ()) =
        tokio::join!(driver.write(Patient, Pace::Aside), driver.read(Patient, Pace::Bulk), back);
    assert_eq!((waited.unwrap().len(), read.unwrap().len()), (1, 1));
}
