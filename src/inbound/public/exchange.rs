//! From a token to a token: the steps of the flow, in the one order that compiles.
use crate::{
    domain::{
        claims::TokenKind,
        identity::{ChatIdentity, IdentityKey},
    },
    flow::{
        bind::Binder,
        issue::{ChatToken, Minter},
        permit::{Permitter, Wish},
        verify::{Verified, Verifier},
    },
    inbound::refusal::Refusal,
};
use std::fmt::{self, Debug};

/// What a caller brings and wants.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The upstream token.
    pub token: &'a str,
    /// The kind the caller says it is (RFC 8693, `subject_token_type`), where they say.
    pub declared: Option<TokenKind>,
    /// Service and platform.
    pub wish: Wish<'a>,
}

impl Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({:?}, {:?})", self.declared, self.wish)
    }
}

/// What became of it, and whom it is about, as far as the steps came.
#[derive(Debug)]
pub struct Decision {
    /// The token, or the step that stopped it.
    pub outcome: Result<ChatToken, Refusal>,
    /// Who is behind the token.
    pub verified: Option<Verified>,
    /// For the audit line (contract 9).
    pub subject_hash: Option<std::sync::Arc<str>>,
    /// The identity, where there is one.
    pub identity: Option<ChatIdentity>,
    /// Whether it waited for this user and was taken just now.
    pub adopted: bool,
}

/// What turns a token into a token. There is one but for tests.
pub trait Steps: Debug + Send + Sync + 'static {
    /// Decides. Everything it waits for has a deadline.
    fn decide(&self, ask: Ask<'_>) -> impl Future<Output = Decision> + Send;
}

/// The flow, of one configuration. A reload makes another.
#[derive(Debug)]
pub struct Exchange {
    /// Proves who sent a token.
    pub verifier: Verifier,
    /// Gives the subject its identity.
    pub binder: Binder,
    /// Decides what the user is given.
    pub permitter: Permitter,
    /// Signs it.
    pub minter: Minter,
    /// For the audit line's `subject_hash`.
    pub identity_key: IdentityKey,
}

impl Steps for Exchange {
    async fn decide(&self, ask: Ask<'_>) -> Decision {
        let mut decision = Decision::refused(Refusal::DeclaredType);
        decision.outcome = self.walk(ask, &mut decision).await;
        decision
    }
}

impl Exchange {
    async fn walk(&self, ask: Ask<'_>, seen: &mut Decision) -> Result<ChatToken, Refusal> {
        let verified = self.verifier.verify(ask.token).await?;
        let upstream = verified.upstream();
        seen.subject_hash = Some(verified.subject_hash(&self.identity_key));
        seen.verified = Some(verified.clone());
        if !agrees(ask.declared, upstream.kind) {
            return Err(Refusal::DeclaredType);
        }
        let bound = self.binder.bind(verified).await?;
        seen.identity = Some(bound.identity().clone());
        seen.adopted = bound.adopted();
        let permitted = self.permitter.permit(bound, ask.wish)?;
        Ok(self.minter.issue(&permitted)?)
    }
}

impl Decision {
    /// Refused before anything was proven.
    pub fn refused(why: Refusal) -> Self {
        Self {
            outcome: Err(why),
            verified: None,
            subject_hash: None,
            identity: None,
            adopted: false,
        }
    }
}

/// A token that does not tell its kind is what its bearer says it is.
fn agrees(declared: Option<TokenKind>, kind: TokenKind) -> bool {
    match (declared, kind) {
        (None, _) | (Some(_), TokenKind::Unsaid) => true,
        (Some(declared), kind) => declared == kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            grant::{Life, Service},
            secret::Secret,
            time::Timestamp,
        },
        flow::{
            issue::Mint,
            permit::NotPermitted,
            verify::{AcceptedKinds, IssuerRules, Surroundings},
        },
        ports::{
            clock::StoppedClock, entropy::CountedEntropy, keys::FixedKeys, recall::SmallRecall,
            store::MemoryStore,
        },
        telemetry::metrics::Metrics,
        token::{
            algorithm::Algorithm,
            test_keys::{Signer, set},
            write::ServiceSigner,
        },
    };
    use futures_util::FutureExt;
    use serde_json::{Value, json};
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    const NOW: u64 = 1_795_428_900;
    const ISSUER: &str = "https://login.example.com/realms/corp";

    fn exchange(signer: &Signer) -> Exchange {
        let clock = Arc::new(StoppedClock::at(Timestamp(NOW)));
        let metrics = Arc::new(Metrics::new("test", "63458b39"));
        let identity_key = IdentityKey::new(&Secret::new((0..64).collect::<Vec<u8>>())).unwrap();
        let rules = IssuerRules {
            issuer: ISSUER.parse().unwrap(),
            audiences: vec!["chat".into()],
            audience_claim: "aud".into(),
            algorithms: Algorithm::ALL.to_vec(),
            kinds: AcceptedKinds::Both,
            allow_act: false,
            allow_cnf: false,
            namespace: ISSUER.parse().unwrap(),
            subject: vec!["sub".into()],
            rules: vec![],
            audit_until: None,
            clock_skew: Duration::from_secs(30),
        };
        let keys = FixedKeys(Ok(Arc::new(set(&[signer.jwk()]))));
        let service = Arc::new(service());
        let life =
            Life { ttl: Duration::from_mins(15), grace_beyond_upstream: Duration::from_mins(4) };
        let mint = Mint {
            clock: clock.clone(),
            entropy: Arc::new(CountedEntropy::default()),
            metrics: Arc::clone(&metrics),
        };
        let signers = vec![ServiceSigner::new(Arc::clone(&service), &Secret::text("s".repeat(32)))];
        let surroundings =
            Surroundings { clock: clock.clone(), memory: Arc::new(SmallRecall::new(10)), metrics };
        Exchange {
            verifier: Verifier::new(1, vec![(rules, Arc::new(keys))], surroundings),
            binder: Binder::new(identity_key.clone(), Arc::new(MemoryStore::new(10)), clock),
            permitter: Permitter::new(vec![service], vec![]),
            minter: Minter::new(signers, life, 1, mint),
            identity_key,
        }
    }

    fn claims() -> Value {
        json!({"iss": ISSUER, "aud": "chat", "sub": "alice", "exp": NOW + 3600, "nonce": "n"})
    }

    fn decide(token: &str, signer: &Signer, change: impl FnOnce(&mut Ask<'_>)) -> Decision {
        let mut ask = Ask { token, declared: None, wish: Wish::default() };
        change(&mut ask);
        // The fakes never wait.
        exchange(signer).decide(ask).now_or_never().unwrap()
    }

    #[test]
    fn a_good_token_gets_the_vectors_identity_and_a_full_trail() {
        let signer = Signer::new(Algorithm::Es256, "k");
        let decision = decide(&signer.token(&claims()), &signer, |_| {});
        let token = decision.outcome.unwrap();
        assert_eq!(token.identity.as_str(), "u-d3j7cm4uyqsr24th2j5j4osoqi");
        assert_eq!(decision.identity, Some(token.identity));
        assert_eq!(decision.verified.unwrap().upstream().issuer.as_str(), ISSUER);
        assert_eq!(decision.subject_hash.unwrap().len(), 16);
    }

    #[test]
    fn p18_a_service_that_no_grant_gives_is_refused_and_the_trail_says_to_whom() {
        let signer = Signer::new(Algorithm::Es256, "k");
        for service in ["other", ""] {
            let decision = decide(&signer.token(&claims()), &signer, |ask| {
                ask.wish.service = Some(service);
            });
            let refusal = decision.outcome.unwrap_err();
            assert!(matches!(refusal, Refusal::NotPermitted(NotPermitted::Service)), "{service}");
            assert!(decision.identity.is_some());
        }
    }

    #[test]
    fn a_declared_kind_must_be_the_tokens() {
        let signer = Signer::new(Algorithm::Es256, "k");
        let mut unsaid = claims();
        unsaid.as_object_mut().unwrap().remove("nonce");
        for (claims, declared, passes) in [
            (claims(), TokenKind::IdToken, true),
            (claims(), TokenKind::AccessToken, false),
            (unsaid.clone(), TokenKind::IdToken, true),
            (unsaid, TokenKind::AccessToken, true),
        ] {
            let decision = decide(&signer.token(&claims), &signer, |ask| {
                ask.declared = Some(declared);
            });
            assert_eq!(decision.outcome.is_ok(), passes, "{declared:?} {claims}");
            assert!(passes || decision.identity.is_none(), "nothing is bound for it");
        }
    }

    #[test]
    fn p13_asking_does_not_print_the_token() {
        let ask = Ask { token: "a.b.c", declared: None, wish: Wish::default() };
        assert!(!format!("{ask:?}").contains("a.b.c"));
    }

    fn service() -> Service {
        Service {
            name: "main".into(),
            sid: "IS0123456789abcdef0123456789abcdef".parse().unwrap(),
            account: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
            api_key: "SK0123456789abcdef0123456789abcdef".parse().unwrap(),
            region: "us1".into(),
            push_credentials: BTreeMap::new(),
        }
    }
}
