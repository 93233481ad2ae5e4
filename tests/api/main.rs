//! The whole sidecar in one process, with an issuer it really asks: what the rooms' own tests cannot show.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy spares these in #[test] functions, but not in the helpers of a test binary"
)]
mod admin;
mod client;
mod commands;
mod docs;
mod documents;
mod egress;
mod house;
mod identity;
mod issuers;
mod life;
mod naming;
mod registry;
mod secrecy;
