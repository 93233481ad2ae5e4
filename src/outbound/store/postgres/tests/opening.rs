//! How a database comes to this version's schema, and which one is refused.
use super::{configured, database, driver, number, said};
use crate::outbound::store::{
    postgres::{NotOpen, PostgresHost, PostgresSettings, Schema, UnfitPostgres},
    sql::{Driver, Pace},
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn ten_sidecars_that_start_at_once_make_one_schema() {
    let server = database().await;
    let mut starting = JoinSet::new();
    for _ in 0..10 {
        let driver = driver(&server, 2);
        starting.spawn(async move { driver.open().await });
    }
    for opened in starting.join_all().await {
        opened.unwrap();
    }
    assert_eq!(number(&server, "SELECT steps FROM usher_schema WHERE major = 1").await, 2);
    let sql = "SELECT count(*) FROM meta WHERE key = 'edition'";
    assert_eq!(number(&server, sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_fewer_steps_gets_the_others_and_is_asked_for_where_it_may_not() {
    let server = database().await;
    let never = configured(&server, 1, Schema::Keep);
    assert!(matches!(unfit(&never).await, UnfitPostgres::Behind));
    said(&server, include_str!("../migrations/1.sql")).await;
    said(&server, "CREATE TABLE usher_schema (id BIGINT PRIMARY KEY, major BIGINT NOT NULL, steps BIGINT NOT NULL)").await;
    said(&server, "INSERT INTO usher_schema VALUES (1, 1, 1)").await;
    said(&server, "INSERT INTO identities VALUES ('u-1', 'active', 1, 'derived', NULL)").await;
    let text = never.open().await.unwrap_err().to_string();
    assert!(text.ends_with("run `usher migrate`"), "{text}");
    assert!(never.ping().await.is_err());

    // `usher migrate` does it all the same.
    assert!(never.migrate().await.unwrap());
    assert!(!never.migrate().await.unwrap());
    never.open().await.unwrap();
    // Also where opening it has done so already.
    let fresh = database().await;
    let auto = driver(&fresh, 1);
    auto.open().await.unwrap();
    assert!(auto.migrate().await.unwrap());
    assert_eq!(number(&server, "SELECT count(*) FROM identities").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_major_schema_is_refused_and_one_of_more_steps_is_not() {
    let server = database().await;
    driver(&server, 1).open().await.unwrap();
    said(&server, "UPDATE usher_schema SET steps = 7").await;
    driver(&server, 1).open().await.unwrap();
    said(&server, "UPDATE usher_schema SET major = 2").await;
    for schema in [Schema::Make, Schema::Keep] {
        let later = configured(&server, 1, schema);
        assert!(matches!(unfit(&later).await, UnfitPostgres::Newer { found: 2, known: 1 }));
        assert!(later.migrate().await.is_err());
    }
    assert_eq!(number(&server, "SELECT steps FROM usher_schema").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_s_tables_are_refused_and_not_touched() {
    for table in ["CREATE TABLE identities (a INT)", "CREATE TABLE usher_schema (a INT)"] {
        let server = database().await;
        said(&server, table).await;
        for schema in [Schema::Make, Schema::Keep] {
            let foreign = configured(&server, 1, schema);
            assert!(matches!(unfit(&foreign).await, UnfitPostgres::Foreign), "{table}");
        }
        let sql = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        assert_eq!(number(&server, sql).await, 1, "{table}");
    }
    // Tables by other names are nobody's business.
    let server = database().await;
    said(&server, "CREATE TABLE customers (a INT)").await;
    driver(&server, 1).open().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_no_unicode_is_refused() {
    let server = database().await;
    let name = format!("{}_latin", server.database);
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    said(&server, &sql).await;
    let latin = PostgresSettings { database: name.into(), ..server };
    assert!(matches!(unfit(&driver(&latin, 1)).await, UnfitPostgres::NotUnicode));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_make_tables_is_told_so() {
    let server = database().await;
    let user = format!("{}_reader", server.database);
    said(&server, &format!("CREATE ROLE {user} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        .await;
    let reader = PostgresSettings { user: user.as_str().into(), ..server.clone() };
    assert!(matches!(unfit(&driver(&reader, 1)).await, UnfitPostgres::Denied));
    // Once the owner has made them and granted their use, that user can work.
    driver(&server, 1).open().await.unwrap();
    let grant =
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}");
    said(&server, &grant).await;
    let reading = driver(&reader, 1);
    reading.open().await.unwrap();
    reading.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_what_is_away_now_may_be_there_later() {
    let server = database().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    for (away, why) in [
        (PostgresSettings { port, ..server.clone() }, "nobody takes connections"),
        (PostgresSettings { database: "missing".into(), ..server.clone() }, "no such database"),
        (PostgresSettings { user: "missing".into(), ..server.clone() }, "refuses the user"),
        (PostgresSettings { tls: true, ..server.clone() }, "does not speak TLS"),
        (
            PostgresSettings { host: PostgresHost::Socket("/nowhere".into()), ..server.clone() },
            "nobody takes connections",
        ),
        (
            PostgresSettings { host: PostgresHost::Name("usher.invalid".into()), ..server.clone() },
            "host name was not found",
        ),
    ] {
        let driver = driver(&away, 1);
        let error = driver.open().await.unwrap_err();
        assert!(matches!(error, NotOpen::Later { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(driver.ping().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_job_makes_the_schema_where_nobody_opened_the_store() {
    let server = database().await;
    let driver = driver(&server, 2);
    let counting = super::jobs::Script(vec!["SELECT count(*) FROM identities"]);
    assert_eq!(driver.read(counting, Pace::Request).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_dropped_beneath_a_sidecar_are_not_made_again_until_somebody_says_so() {
    let server = database().await;
    let driver = driver(&server, 2);
    driver.open().await.unwrap();
    let counting = || super::jobs::Script(vec!["SELECT count(*) FROM identities"]);
    driver.read(counting(), Pace::Request).await.unwrap();
    let tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    for dropping in ["DROP SCHEMA public CASCADE; CREATE SCHEMA public", CUT_AND_DROP] {
        said(&server, dropping).await;
        for pace in [Pace::Request, Pace::Bulk] {
            let read = driver.read(counting(), pace).await.unwrap_err();
            let write = driver.write(counting(), pace).await.unwrap_err();
            for error in [read, write, driver.ping().await.unwrap_err()] {
                let error = format!("{error:?}");
                assert!(error.contains("Gone"), "{error}");
            }
        }
        assert_eq!(number(&server, tables).await, 0);
        // As `usher migrate` or a start does.
        assert!(super::driver(&server, 1).migrate().await.unwrap());
        driver.read(counting(), Pace::Request).await.unwrap();
        driver.ping().await.unwrap();
    }
}

const CUT_AND_DROP: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid(); \
    DROP SCHEMA public CASCADE; CREATE SCHEMA public";

#[tokio::test(flavor = "multi_thread")]
async fn a_later_major_schema_is_refused_on_each_new_connection_and_at_each_ping() {
    let counting = || super::jobs::Script(vec!["SELECT count(*) FROM identities"]);
    for cuts in [true, false] {
        let server = database().await;
        let driver = driver(&server, 2);
        driver.open().await.unwrap();
        said(&server, "UPDATE usher_schema SET major = 2").await;
        if cuts {
            said(
                &server,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        } else {
            assert!(driver.ping().await.is_err());
        }
        let error = format!("{:?}", driver.write(counting(), Pace::Request).await.unwrap_err());
        assert!(error.contains("Newer { found: 2, known: 1 }"), "{error}");
        said(&server, "UPDATE usher_schema SET major = 1").await;
        driver.write(counting(), Pace::Request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_makes_no_tables() {
    let server = database().await;
    let reading = configured(&server, 1, Schema::Advance);
    assert!(matches!(unfit(&reading).await, UnfitPostgres::Missing));
    assert_eq!(number(&server, "SELECT count(*) FROM pg_class WHERE relname = 'meta'").await, 0);
    driver(&server, 1).open().await.unwrap();
    configured(&server, 1, Schema::Advance).open().await.unwrap();
}

async fn unfit(driver: &super::PostgresDriver) -> UnfitPostgres {
    match driver.open().await.unwrap_err() {
        NotOpen::Unfit { unfit, .. } => unfit,
        NotOpen::Later { why, .. } => panic!("later: {why}"),
    }
}
