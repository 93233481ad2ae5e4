//! What is remembered about a token that was proven.
use super::{Proof, issuer::KnownIssuer, reading::Reading};
use crate::token::key::VerifyingKey;
use std::sync::Arc;

/// A token that was proven once, and the key and rules that every use of it is held against again.
#[derive(Debug)]
pub struct Remembered {
    pub(super) proof: Arc<Proof>,
    pub(super) issuer: Arc<KnownIssuer>,
    pub(super) key: Arc<VerifyingKey>,
    pub(super) reading: Reading,
}

#[cfg(test)]
mod tests {
    use crate::{
        flow::verify::{scene::*, *},
        ports::keys::{FixedKeys, KeysUnavailable},
        token::{
            algorithm::Algorithm,
            test_keys::{Signer, encode},
        },
    };
    use serde_json::json;
    use std::time::Duration;

    fn lookups(metrics: &Metrics) -> [bool; 2] {
        let text = metrics.text().unwrap();
        ["hits_total 1\n", "misses_total 1\n"]
            .map(|line| text.contains(&format!("usher_verify_cache_{line}")))
    }

    #[test]
    fn p7_a_second_use_is_a_hit_and_names_the_same_token() {
        let scene = scene();
        let (token, metrics) = (scene.signer.token(&claims()), Arc::clone(&scene.metrics));
        let verifier = scene.verifier();
        let first = verify(&verifier, &token).unwrap();
        assert_eq!(lookups(&metrics), [false, true]);
        let second = verify(&verifier, &token).unwrap();
        assert_eq!(lookups(&metrics), [true, true]);
        assert!(Arc::ptr_eq(&first.proof, &second.proof));
    }

    #[test]
    fn p7_what_one_configuration_verified_another_verifies_anew() {
        let scene = scene();
        let token = scene.signer.token(&claims());
        let other_audience = Scene {
            rules: IssuerRules { audiences: vec!["other".into()], ..rules() },
            ..scene.again()
        };
        let keys: Arc<dyn Keys> = Arc::new(FixedKeys(keys_of(&[&scene.signer])));
        let first = scene.verifier_with(1, Arc::clone(&keys));
        let second = other_audience.verifier_with(2, keys);
        assert!(verify(&first, &token).is_ok());
        assert_eq!(
            verify(&second, &token).unwrap_err(),
            Unverified::WrongAudience(AudienceHint::None)
        );
    }

    #[test]
    fn p7_an_error_is_never_remembered_as_success() {
        let scene = scene();
        let (clock, memory) = (Arc::clone(&scene.clock), Arc::clone(&scene.memory));
        let token = scene.signer.token(&with("nbf", json!(NOW + 100)));
        let forged = token.replace(token.rsplit_once('.').unwrap().1, &encode(&[7; 64]));
        let verifier = scene.verifier();
        for _ in 0..2 {
            assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::NotYetValid);
            assert_eq!(verify(&verifier, &forged).unwrap_err(), Unverified::BadSignature);
        }
        clock.advance(Duration::from_secs(100));
        assert!(verify(&verifier, &token).is_ok());
        assert_eq!(verify(&verifier, &forged).unwrap_err(), Unverified::BadSignature);
        // What is remembered is named by a digest: the token is not to be found in it.
        assert!(!format!("{memory:?}").contains(&token));
    }

    #[test]
    fn p8_after_a_step_of_the_clock_no_expired_token_passes() {
        let scene = scene();
        let clock = Arc::clone(&scene.clock);
        let token = scene.signer.token(&claims());
        let verifier = scene.verifier();
        assert!(verify(&verifier, &token).is_ok());
        clock.set_wall(Timestamp(NOW + 3600));
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::Expired);
        clock.set_wall(Timestamp(NOW - 3600));
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::NotYetValid);
        clock.set_wall(Timestamp(NOW));
        assert!(verify(&verifier, &token).is_ok());
    }

    #[test]
    fn p2_a_remembered_token_outlives_neither_its_key_nor_the_keys() {
        let scene = scene();
        let old = scene.signer.clone();
        let token = old.token(&claims());
        let keys = ScriptedKeys::new(keys_of(&[&old]), keys_of(&[]));
        let verifier = scene.verifier_with(1, Arc::clone(&keys) as Arc<dyn Keys>);
        assert!(verify(&verifier, &token).is_ok());
        *keys.held.lock().unwrap() = Err(KeysUnavailable { retry_after: Duration::ZERO });
        assert!(matches!(verify(&verifier, &token), Err(Unverified::IssuerUnavailable(_))));
        // Another key of the same name is not that key.
        *keys.held.lock().unwrap() = keys_of(&[&Signer::new(Algorithm::Es256, "k")]);
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::BadSignature);
        *keys.held.lock().unwrap() = keys_of(&[]);
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::UnknownKey);
    }

    #[test]
    fn p7_an_audited_rule_refuses_from_its_date_on_what_is_remembered_too() {
        let mut scene = scene();
        scene.rules.rules = vec![expression("claims.email_verified == true")];
        scene.rules.audit_until = Some(Timestamp(NOW + 100));
        let (clock, metrics) = (Arc::clone(&scene.clock), Arc::clone(&scene.metrics));
        let token = scene.signer.token(&with("email_verified", false.into()));
        let unevaluated = scene.signer.token(&claims());
        let verifier = scene.verifier();
        assert!(verify(&verifier, &token).is_ok());
        clock.advance(Duration::from_secs(99));
        assert!(verify(&verifier, &token).is_ok());
        let counted = format!("usher_claim_rules_audited_total{{issuer=\"{ISSUER}\"}} 2");
        assert!(metrics.text().unwrap().contains(&counted));
        // An evaluation error always refuses.
        assert!(matches!(verify(&verifier, &unevaluated), Err(Unverified::ClaimRule(_))));
        clock.advance(Duration::from_secs(1));
        assert!(matches!(verify(&verifier, &token), Err(Unverified::ClaimRule(_))));
    }
}
