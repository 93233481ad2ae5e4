//! The listeners as their clients see them: over sockets, byte by byte.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy spares these in #[test] functions, but not in the helpers of a test binary"
)]
#![expect(unreachable_pub, reason = "the modules of a test binary are its only readers")]
mod drain;
mod framing;
mod health;
mod http2;
mod limits;
mod oauth;
mod rig;
mod secrets;
mod steps;
mod streamed;
mod tls;
mod token;
