//! Writes the Conversations token (contract 3, "The token").
use crate::domain::{
    grant::Service,
    identity::ChatIdentity,
    secret::Secret,
    sid::{PushCredentialSid, RoleSid},
    time::Timestamp,
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, io::Write, sync::Arc};

/// Names a signing key without telling anything about it: HMAC-SHA256(key, "usher signing key").
pub type SigningKeyId = [u8; 32];

/// One service and the secret of the API key that signs its tokens, with all that does not change between two
/// tokens prepared once.
#[derive(Clone)]
pub struct ServiceSigner {
    service: Arc<Service>,
    key: hmac::Key,
    key_id: SigningKeyId,
    /// The encoded header and its dot.
    head: Box<str>,
    /// The payload's end: `"iss"`, `"sub"` and the closing brace.
    tail: Box<[u8]>,
}

/// What one token says beyond what its service says.
#[derive(Clone, Copy, Debug)]
pub struct ChatClaims<'a> {
    /// `jti`.
    pub jti: &'a str,
    /// `grants.identity`.
    pub identity: &'a ChatIdentity,
    /// `grants.chat.push_credential_sid`.
    pub push_credential: Option<&'a PushCredentialSid>,
    /// `grants.chat.deployment_role_sid`.
    pub role: Option<&'a RoleSid>,
    /// `iat`.
    pub issued: Timestamp,
    /// `exp`.
    pub expires: Timestamp,
}

impl ServiceSigner {
    /// Prepares `secret`, the API key's secret as Twilio gave it (its bytes are the key, they are not decoded).
    pub fn new(service: Arc<Service>, secret: &Secret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal());
        let tag = hmac::sign(&key, b"usher signing key");
        let key_id = tag.as_ref().first_chunk().copied().unwrap_or_default();
        let head = URL_SAFE_NO_PAD.encode(header(&service.region)) + ".";
        let mut tail = b"\"iss\":".to_vec();
        string(&mut tail, service.api_key.as_str());
        tail.extend_from_slice(b",\"sub\":");
        string(&mut tail, service.account.as_str());
        tail.push(b'}');
        Self { service, key, key_id, head: head.into(), tail: tail.into() }
    }

    /// The service whose tokens this signs.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Names the key, so that what it signed can be told from what another signs.
    pub fn key_id(&self) -> &SigningKeyId {
        &self.key_id
    }

    /// The compact token. There is no `nbf`: a client whose clock is behind would refuse a fresh token.
    pub fn sign(&self, claims: &ChatClaims<'_>) -> Secret {
        let payload = self.payload(claims);
        // The exact length, since a buffer that grows leaves copies of the token in freed memory.
        let mut jwt = String::with_capacity(
            self.head.len() + encoded_length(payload.len()) + 1 + encoded_length(32),
        );
        jwt.push_str(&self.head);
        URL_SAFE_NO_PAD.encode_string(&payload, &mut jwt);
        let tag = hmac::sign(&self.key, jwt.as_bytes());
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut jwt);
        Secret::text(jwt)
    }

    fn payload(&self, claims: &ChatClaims<'_>) -> Vec<u8> {
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(b"{\"jti\":");
        string(&mut json, claims.jti);
        json.extend_from_slice(b",\"grants\":{\"identity\":");
        string(&mut json, claims.identity.as_str());
        json.extend_from_slice(b",\"chat\":{\"service_sid\":");
        string(&mut json, self.service.sid.as_str());
        if let Some(credential) = claims.push_credential {
            json.extend_from_slice(b",\"push_credential_sid\":");
            string(&mut json, credential.as_str());
        }
        if let Some(role) = claims.role {
            json.extend_from_slice(b",\"deployment_role_sid\":");
            string(&mut json, role.as_str());
        }
        json.extend_from_slice(b"}},\"iat\":");
        number(&mut json, claims.issued);
        json.extend_from_slice(b",\"exp\":");
        number(&mut json, claims.expires);
        json.push(b',');
        json.extend_from_slice(&self.tail);
        json
    }
}

impl fmt::Debug for ServiceSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceSigner({})", self.service.name)
    }
}

/// `twr` is the home region; Twilio takes its absence for `us1`.
fn header(region: &str) -> Vec<u8> {
    let mut json = br#"{"typ":"JWT","alg":"HS256","cty":"twilio-fpa;v=1""#.to_vec();
    if region != "us1" {
        json.extend_from_slice(b",\"twr\":");
        string(&mut json, region);
    }
    json.push(b'}');
    json
}

/// RFC 8259 section 7: the quotation mark, the reverse solidus and control characters must be escaped, and
/// nothing else need be.
fn string(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            0x00..=0x1f => {
                // Writing to a vector does not fail.
                let _ = write!(json, "\\u{byte:04x}");
            }
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}

fn number(json: &mut Vec<u8>, moment: Timestamp) {
    // Writing to a vector does not fail.
    let _ = write!(json, "{}", moment.0);
}

/// RFC 4648 section 5 without padding: every 3 bytes are 4 characters, a rest of 1 or 2 is 2 or 3.
fn encoded_length(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sid::{Kind, Sid};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

    fn sid<K: Kind>(prefix: &str) -> Sid<K> {
        format!("{prefix}0123456789abcdef0123456789abcdef").parse().unwrap()
    }

    fn signer(region: &str) -> ServiceSigner {
        let service = Service {
            name: "main".into(),
            sid: sid("IS"),
            account: sid("AC"),
            api_key: sid("SK"),
            region: region.into(),
            push_credentials: [].into(),
        };
        ServiceSigner::new(Arc::new(service), &Secret::text(SECRET))
    }

    fn claims<'a>(jti: &'a str, identity: &'a ChatIdentity) -> ChatClaims<'a> {
        ChatClaims {
            jti,
            identity,
            push_credential: None,
            role: None,
            issued: Timestamp(1_795_427_059),
            expires: Timestamp(1_795_427_959),
        }
    }

    /// The three parts, the first two decoded, read by another JSON parser.
    fn parts(jwt: &Secret) -> (Value, Value, Vec<u8>) {
        let text = jwt.reveal_text().unwrap();
        let [head, payload, tag] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        (
            serde_json::from_slice(&decode(head)).unwrap(),
            serde_json::from_slice(&decode(payload)).unwrap(),
            decode(tag),
        )
    }

    #[test]
    fn the_token_says_what_the_contract_says_and_nothing_else() {
        let identity = "u-d3j7cm4uyqsr24th2j5j4osoqi".parse().unwrap();
        let jwt = signer("us1").sign(&claims("SK-1-2", &identity));
        let (head, payload, _) = parts(&jwt);
        assert_eq!(head, json!({"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"}));
        assert_eq!(
            payload,
            json!({
                "jti": "SK-1-2",
                "iss": "SK0123456789abcdef0123456789abcdef",
                "sub": "AC0123456789abcdef0123456789abcdef",
                "iat": 1_795_427_059, "exp": 1_795_427_959,
                "grants": {
                    "identity": "u-d3j7cm4uyqsr24th2j5j4osoqi",
                    "chat": {"service_sid": "IS0123456789abcdef0123456789abcdef"},
                },
            })
        );
    }

    #[test]
    fn a_push_credential_a_role_and_a_region_are_said_where_they_are_given() {
        let identity = "u-a".parse().unwrap();
        let (credential, role) = (sid("CR"), sid("RL"));
        let all = ChatClaims {
            push_credential: Some(&credential),
            role: Some(&role),
            ..claims("j", &identity)
        };
        let (head, payload, _) = parts(&signer("ie1").sign(&all));
        assert_eq!(head["twr"], "ie1");
        assert_eq!(
            payload["grants"]["chat"],
            json!({
                "service_sid": "IS0123456789abcdef0123456789abcdef",
                "push_credential_sid": "CR0123456789abcdef0123456789abcdef",
                "deployment_role_sid": "RL0123456789abcdef0123456789abcdef",
            })
        );
    }

    #[test]
    fn the_signature_is_hmac_sha256_with_the_secret_s_own_bytes() {
        let identity = "u-a".parse().unwrap();
        let jwt = signer("us1").sign(&claims("j", &identity));
        let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
        let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        rules.validate_exp = false;
        let token = jwt.reveal_text().unwrap();
        assert!(jsonwebtoken::decode::<Value>(token, &key, &rules).is_ok());
        let other = jsonwebtoken::DecodingKey::from_secret(b"another secret");
        assert!(jsonwebtoken::decode::<Value>(token, &other, &rules).is_err());
    }

    #[test]
    fn keys_are_told_apart_and_p13_do_not_print() {
        let service = Arc::clone(signer("us1").service());
        let other = ServiceSigner::new(service, &Secret::text("another secret"));
        assert_ne!(signer("us1").key_id(), other.key_id());
        assert_eq!(signer("us1").key_id(), signer("ie1").key_id());
        assert_eq!(format!("{other:?}"), "ServiceSigner(main)");
    }

    proptest! {
        #[test]
        fn any_text_is_one_json_string(text in any::<String>()) {
            let mut json = Vec::new();
            string(&mut json, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
        }

        #[test]
        fn the_token_fits_its_buffer(jti in "[ -~]{0,80}") {
            let identity = "u-a".parse().unwrap();
            let signer = signer("us1");
            let claims = claims(&jti, &identity);
            let wanted = signer.head.len() + encoded_length(signer.payload(&claims).len()) + 44;
            prop_assert_eq!(signer.sign(&claims).reveal().len(), wanted);
        }
    }
}
