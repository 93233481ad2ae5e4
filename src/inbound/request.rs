//! What is known of a request before anything in it is believed.
use super::body::BodyLimit;
use crate::ports::entropy::Entropy;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on the network, loopback included.
    Tcp(SocketAddr),
    /// Somebody on this host, through a socket file.
    Unix,
}

/// What the connection says about a request.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Who is at the other end.
    pub peer: Peer,
    /// Why the head must not get a 2xx, whatever it asks for: a sentence of [`detail`](super::detail).
    pub fault: Option<&'static str>,
    /// How much body is read, and for how long.
    pub body: BodyLimit,
}

/// `X-Request-Id`, on every answer and in every line about the request (contract 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

const MODE: HeaderName = HeaderName::from_static("usher-mode");

/// The id's header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl RequestId {
    /// The caller's, if it is one value of 1 to 64 of `[A-Za-z0-9._-]`, else one that nobody can guess.
    pub fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(value), None) if is_id(value.as_bytes()) => Self(value.clone()),
            (Some(_) | None, _) => Self(made(entropy)),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Marks an answer with the id, and with `Usher-Mode` where usher runs for development.
    pub fn mark(self, headers: &mut HeaderMap, dev: bool) {
        headers.insert(REQUEST_ID, self.0);
        if dev {
            headers.insert(MODE, HeaderValue::from_static("dev"));
        }
    }
}

fn is_id(value: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&value.len()) && value.iter().all(plain)
}

fn made(entropy: &dyn Entropy) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut random = [0; 12];
    entropy.fill(&mut random);
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut text = [0; 24];
    for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy::CountedEntropy;

    fn id(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REQUEST_ID, value.parse().unwrap());
        }
        RequestId::of(&headers, &CountedEntropy::default()).as_str().to_owned()
    }

    #[test]
    fn a_plain_id_is_kept_and_any_other_is_replaced() {
        let longest = "a".repeat(64);
        for kept in ["a", "A-1_b.2", &longest] {
            assert_eq!(id(&[kept]), kept);
        }
        let made = "0".repeat(24);
        for replaced in [&["a b"][..], &[""], &["a\"b"], &[&"a".repeat(65)], &["a", "b"], &[]] {
            assert_eq!(id(replaced), made, "{replaced:?}");
        }
    }
}
