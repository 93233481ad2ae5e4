//! The driver against a real PostgreSQL, the one that `USHER_TEST_POSTGRES_URL` names: a superuser's, without a
//! password, that is ours to make databases in.
mod jobs;
mod opening;
mod troubles;

use super::{Config, PostgresDriver, PostgresHost, PostgresSettings, Schema};
use crate::{
    outbound::{
        http::trust::Trust,
        store::{contract, sql::SqlStore},
        system::{SystemClock, SystemEntropy},
    },
    ports::{clock::Clock, entropy::Entropy},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The server, and its database for what belongs to none.
pub(super) fn server() -> PostgresSettings {
    let text = std::env::var_os("USHER_TEST_POSTGRES_URL").expect("USHER_TEST_POSTGRES_URL is set");
    let url = url::Url::parse(text.to_str().unwrap()).unwrap();
    PostgresSettings {
        host: PostgresHost::Name(url.host_str().unwrap().into()),
        port: url.port().unwrap_or(5432),
        user: url.username().into(),
        database: "postgres".into(),
        tls: false,
        password: None,
        certificate_authority: None,
    }
}

/// An empty database of one's own.
pub(super) async fn database() -> PostgresSettings {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("usher_test_{}_{number}", std::process::id());
    said(&server(), &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await;
    PostgresSettings { database: name.into(), ..server() }
}

/// Has the server do something beside what is tested.
pub(super) async fn said(server: &PostgresSettings, sql: &str) {
    let link = super::Link::open(server, &Trust::of_host()).await.unwrap();
    link.client.batch_execute(sql).await.unwrap();
}

/// The one number that a query finds.
pub(super) async fn number(server: &PostgresSettings, sql: &str) -> i64 {
    let link = super::Link::open(server, &Trust::of_host()).await.unwrap();
    link.client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A sidecar's driver.
pub(super) fn driver(server: &PostgresSettings, connections: u32) -> PostgresDriver {
    configured(server, connections, Schema::Make)
}

pub(super) fn configured(
    server: &PostgresSettings,
    max_connections: u32,
    schema: Schema,
) -> PostgresDriver {
    let config = Config { server: server.clone(), max_connections, schema };
    PostgresDriver::new(config, clock(), Arc::new(SystemEntropy) as Arc<dyn Entropy>).unwrap()
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

/// A driver on an empty database, for tests that ask where nothing can be awaited.
fn fresh() -> PostgresDriver {
    let made = || tokio::runtime::Handle::current().block_on(database());
    driver(&tokio::task::block_in_place(made), 4)
}

fn store() -> Arc<SqlStore<PostgresDriver>> {
    Arc::new(SqlStore::new(fresh(), contract::clock()))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_every_store() {
    contract::holds(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_every_registry() {
    contract::registry::holds(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_where_any_statement_fails() {
    contract::faulty::holds(fresh).await;
}
