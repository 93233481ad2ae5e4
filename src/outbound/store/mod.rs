//! Where bindings are kept: SQLite or PostgreSQL, and the memory in front of any store.
//!
//! Every store passes the same tests, `contract`.
pub mod cached;
#[cfg(test)]
mod contract;
pub mod pinned;
pub mod postgres;
pub mod recall;
pub mod sql;
pub mod sqlite;
