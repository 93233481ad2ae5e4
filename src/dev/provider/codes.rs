//! Authorization codes: good once, for a minute (RFC 6749 section 4.1.2, RFC 7636).
use crate::domain::time::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{collections::HashMap, sync::Mutex, time::Duration};

/// How long a code may be redeemed.
const LIFE: Duration = Duration::from_mins(1);
/// How many codes may wait; past it none is given.
const BOUND: usize = 1_000;

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) sub: &'static str,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) given: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<HashMap<String, Grant>>);

impl Codes {
    /// Keeps `grant` under `code`; false where too many wait.
    pub(super) fn give(&self, code: String, grant: Grant) -> bool {
        let Ok(mut waiting) = self.0.lock() else { return false };
        waiting.retain(|_, other| grant.given < other.given.plus(LIFE));
        let room = waiting.len() < BOUND;
        if room {
            waiting.insert(code, grant);
        }
        room
    }

    /// Takes the grant of `code`, whether or not the rest is right: a code is never tried twice.
    pub(super) fn redeem(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Option<Grant> {
        let grant = self.0.lock().ok()?.remove(code)?;
        let proven = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let fits = grant.redirect_uri == redirect_uri && grant.code_challenge == proven;
        (fits && now < grant.given.plus(LIFE)).then_some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn grant(given: u64) -> Grant {
        Grant {
            sub: "alice",
            redirect_uri: "http://127.0.0.1/".into(),
            code_challenge: CHALLENGE.into(),
            nonce: None,
            given: Timestamp(given),
        }
    }

    #[test]
    fn a_code_is_good_once() {
        let codes = Codes::default();
        codes.give("c".into(), grant(10));
        let redeem = || codes.redeem("c", "http://127.0.0.1/", VERIFIER, Timestamp(20));
        assert_eq!(redeem(), Some(grant(10)));
        assert_eq!(redeem(), None);
    }

    #[test]
    fn a_code_is_lost_with_a_wrong_verifier_or_after_a_minute() {
        for (verifier, now) in [("wrong", 20), (VERIFIER, 70)] {
            let codes = Codes::default();
            codes.give("c".into(), grant(10));
            assert_eq!(codes.redeem("c", "http://127.0.0.1/", verifier, Timestamp(now)), None);
            assert_eq!(codes.redeem("c", "http://127.0.0.1/", VERIFIER, Timestamp(20)), None);
        }
    }

    #[test]
    fn no_more_codes_wait_than_the_bound() {
        let codes = Codes::default();
        assert!((0..BOUND).all(|n| codes.give(n.to_string(), grant(10))));
        assert!(!codes.give("one more".into(), grant(10)));
        assert!(codes.give("after a minute".into(), grant(70)));
    }
}
