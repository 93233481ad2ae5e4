//! What one client may take (contract 2, "Limits").
use crate::inbound::body::BodyLimit;
use std::time::Duration;

/// The bounds of one listener. Past them the client that exceeds them is refused, and no other stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; one more is closed as soon as it is accepted.
    pub connections: usize,
    /// HTTP/2 streams at a time on one connection.
    pub streams: u32,
    /// Bytes of a request's head. hyper's read buffer wants at least 8 KiB.
    pub head_bytes: u16,
    /// From accepting to the end of the TLS handshake.
    pub handshake: Duration,
    /// From accepting, or from the handshake, to the first byte of the first head.
    pub first_byte: Duration,
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// The whole body.
    pub body: BodyLimit,
    /// From one answer to the first byte of the next head.
    pub idle: Duration,
    /// How long a client may leave an answer unread.
    pub write: Duration,
    /// How long a refused request's body is still read and dropped, so that the refusal is not lost in a reset.
    pub closing: Duration,
    /// How long an idle connection stays open while usher drains, for a request that is on its way.
    pub drain_idle: Duration,
}

impl Default for Limits {
    /// The contract's, and where it is silent what a patient client never notices.
    fn default() -> Self {
        Self {
            connections: 10_000,
            streams: 100,
            head_bytes: 16 * 1024,
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(5),
            body: BodyLimit { bytes: 64 * 1024, time: Duration::from_secs(10) },
            idle: Duration::from_mins(1),
            write: Duration::from_secs(30),
            closing: Duration::from_secs(2),
            drain_idle: Duration::from_secs(1),
        }
    }
}
