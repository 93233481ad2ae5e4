//! Reads a compact JWS (RFC 7515 section 7.1) as strictly as contract 3 asks ("Which tokens pass").
use super::{algorithm::Algorithm, json, key::VerifyingKey};
use crate::domain::claims::Claims;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// The longest token that is read, in bytes: more does not fit into a request's head.
pub const LONGEST: usize = 16 * 1024;

/// The longest key id, in bytes.
const LONGEST_KID: usize = 1024;

/// A token whose form is right and of which nothing is proven.
#[derive(Debug)]
pub struct Jws<'t> {
    signed: &'t str,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What is taken from the header. `jwk`, `jku`, `x5u` and `x5c` are not: a token does not choose its key.
#[derive(Debug)]
struct Header {
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    media_type: MediaType,
    for_twilio: bool,
}

/// What a header's `typ` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// Absent, or `JWT`.
    Jwt,
    /// `at+jwt` (RFC 9068).
    AccessToken,
    /// `logout+jwt` (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    Logout,
    /// Anything else.
    Other,
}

impl<'t> Jws<'t> {
    /// Splits and decodes `token`; its payload may be any bytes.
    ///
    /// # Errors
    /// Each variant of [`Malformed`] but [`Malformed::Claim`].
    pub fn read(token: &'t str) -> Result<Self, Malformed> {
        if token.len() > LONGEST {
            return Err(Malformed::Length);
        }
        let (signed, [header, payload, signature]) = split(token)?;
        let (header, payload) = (decode(header)?, decode(payload)?);
        let signature = decode(signature)?;
        let header = json::object(&header).map_err(|_| Malformed::Json)?;
        Ok(Self { signed, header: Header::read(header)?, payload, signature })
    }

    /// Its `alg`, if usher accepts that from anyone.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.header.algorithm
    }

    /// Its `kid`, 1 to 1024 bytes.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Its `typ`.
    pub fn media_type(&self) -> MediaType {
        self.header.media_type
    }

    /// Whether its `cty` marks it as a token for Twilio.
    pub fn is_for_twilio(&self) -> bool {
        self.header.for_twilio
    }

    /// Whether `key` signed it with its `alg`. Believe nothing in it before.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        self.header.algorithm.is_some_and(|algorithm| {
            key.verifies(algorithm, self.signed.as_bytes(), &self.signature)
        })
    }

    /// The payload's bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as claims.
    ///
    /// # Errors
    /// [`Malformed::Json`].
    pub fn claims(&self) -> Result<Claims, Malformed> {
        json::object(&self.payload).map(Claims::new).map_err(|_| Malformed::Json)
    }
}

fn split(token: &str) -> Result<(&str, [&str; 3]), Malformed> {
    let mut parts = token.split('.');
    let three = [parts.next(), parts.next(), parts.next()];
    match (three, parts.count()) {
        ([Some(header), Some(payload), Some(signature)], 0) => {
            if header.is_empty() || payload.is_empty() || signature.is_empty() {
                return Err(Malformed::Parts);
            }
            let (signed, _) = token.rsplit_once('.').ok_or(Malformed::Parts)?;
            Ok((signed, [header, payload, signature]))
        }
        (_, 2) => Err(Malformed::Encrypted),
        _ => Err(Malformed::Parts),
    }
}

/// The engine refuses padding, and bits that are set after the last byte: else one token could be written in many ways.
fn decode(part: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Encoding)
}

impl Header {
    fn read(mut members: Map<String, Value>) -> Result<Self, Malformed> {
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Malformed::Critical);
        }
        let Some(Value::String(alg)) = members.get("alg") else { return Err(Malformed::Header) };
        Ok(Self {
            algorithm: alg.parse().ok(),
            media_type: MediaType::read(members.get("typ")),
            for_twilio: members.get("cty").and_then(Value::as_str).is_some_and(is_for_twilio),
            kid: match members.remove("kid") {
                None => None,
                Some(Value::String(kid)) if (1..=LONGEST_KID).contains(&kid.len()) => Some(kid),
                Some(_) => return Err(Malformed::Header),
            },
        })
    }
}

/// `twilio-fpa;v=1`, in any version.
fn is_for_twilio(content_type: &str) -> bool {
    content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("twilio-fpa"))
}

impl MediaType {
    fn read(typ: Option<&Value>) -> Self {
        let Some(typ) = typ else { return Self::Jwt };
        let Some(full) = typ.as_str() else { return Self::Other };
        let short = match full.split_at_checked(12) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            Some(_) | None => full,
        };
        let known =
            [("JWT", Self::Jwt), ("at+jwt", Self::AccessToken), ("logout+jwt", Self::Logout)];
        let found = known.into_iter().find(|(name, _)| short.eq_ignore_ascii_case(name));
        found.map_or(Self::Other, |(_, media_type)| media_type)
    }
}

/// What is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Five parts: encrypted (RFC 7516). At Auth0 a token without an audience is one.
    #[error("it is encrypted (JWE)")]
    Encrypted,
    /// Not three parts: an opaque token, most likely. An empty part is none.
    #[error("it does not have three non-empty parts")]
    Parts,
    /// Not base64url, or not in canonical form.
    #[error("a part is not base64url")]
    Encoding,
    /// The header or payload is not one JSON object, or has a duplicate member, or is too deep.
    #[error("its header or payload is not one JSON object without duplicate members")]
    Json,
    /// `crit` or `b64` (RFC 7515 section 4.1.11, RFC 7797).
    #[error("its header demands an extension")]
    Critical,
    /// A header member of the wrong type, `kid` among them.
    #[error("a header member has the wrong type")]
    Header,
    /// A registered claim of the wrong type, or one that is missing.
    #[error("a claim is missing or has the wrong type")]
    Claim,
    /// Longer than any token usher reads.
    #[error("it is too long")]
    Length,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::test_keys::{Signer, encode, set};
    use proptest::prelude::*;
    use serde_json::json;

    /// Reads a token with this header, an empty object for payload, and a signature of one byte.
    fn read(header: &Value) -> Result<(MediaType, Option<String>), Malformed> {
        read_text(&header.to_string())
    }

    fn read_text(header: &str) -> Result<(MediaType, Option<String>), Malformed> {
        let token = format!("{}.e30.AA", encode(header.as_bytes()));
        Jws::read(&token).map(|jws| (jws.media_type(), jws.kid().map(str::to_owned)))
    }

    #[test]
    fn a_token_has_three_non_empty_parts() {
        let header = encode(br#"{"alg":"RS256"}"#);
        let read = |rest: &str| Jws::read(&format!("{header}{rest}")).map(|_| ());
        assert_eq!(read(".e30.AA"), Ok(()));
        for rest in ["", ".e30", ".e30.", "..AA", ".", "..", ".e30.AA.", ".e30.AA.AA", "....."] {
            assert_eq!(read(rest), Err(Malformed::Parts), "{rest}");
        }
        assert_eq!(Jws::read(".e30.AA").unwrap_err(), Malformed::Parts);
        assert_eq!(Jws::read("").unwrap_err(), Malformed::Parts);
    }

    #[test]
    fn five_parts_are_a_jwe() {
        assert_eq!(Jws::read("e30.e30.e30.e30.e30").unwrap_err(), Malformed::Encrypted);
        assert_eq!(Jws::read("e30..e30.e30.e30").unwrap_err(), Malformed::Encrypted);
    }

    #[test]
    fn every_part_is_canonical_base64url_without_padding() {
        let header = encode(br#"{"alg":"RS256"}"#);
        let read = |payload: &str, signature: &str| {
            Jws::read(&format!("{header}.{payload}.{signature}")).map(|_| ())
        };
        assert_eq!(read("e30", "AA"), Ok(()));
        // "AB" and "e31" have bits after the last byte.
        for wrong in ["e30=", "e3 0", "e+0_", "e/A_", "e31", "e", "e\n30", "é30", "AB", "A"] {
            assert_eq!(read(wrong, "AA"), Err(Malformed::Encoding), "{wrong}");
            assert_eq!(read("e30", wrong), Err(Malformed::Encoding), "{wrong}");
        }
    }

    #[test]
    fn a_token_over_16_kib_is_not_read() {
        assert_eq!(Jws::read(&".".repeat(LONGEST + 1)).unwrap_err(), Malformed::Length);
        assert_eq!(Jws::read(&".".repeat(LONGEST)).unwrap_err(), Malformed::Parts);
    }

    #[test]
    fn the_header_is_one_object_whose_members_occur_once() {
        for header in ["", " ", "[]", "{", r#"{"alg":"RS256","alg":"none"}"#, r#"{"alg":"RS256"}x"#]
        {
            let expected = if header.is_empty() { Malformed::Parts } else { Malformed::Json };
            assert_eq!(read_text(header), Err(expected), "{header}");
        }
    }

    #[test]
    fn extensions_that_the_header_demands_are_refused() {
        for name in ["crit", "b64"] {
            for value in [json!(null), json!([]), json!(["exp"]), json!(true), json!(false)] {
                let header = json!({"alg": "RS256", name: value});
                assert_eq!(read(&header), Err(Malformed::Critical), "{header}");
            }
        }
    }

    #[test]
    fn a_key_id_is_a_string_of_1_to_1024_bytes() {
        let kid = |kid: Value| read(&json!({"alg": "RS256", "kid": kid})).map(|(_, kid)| kid);
        for right in ["a".to_owned(), "a".repeat(1024), "é".repeat(512)] {
            assert_eq!(kid(right.as_str().into()), Ok(Some(right)));
        }
        let long = [json!("a".repeat(1025)), json!("é".repeat(513))];
        for wrong in [json!(""), json!(null), json!(1), json!(["a"]), json!({})].iter().chain(&long)
        {
            assert_eq!(kid(wrong.clone()), Err(Malformed::Header), "{wrong}");
        }
        assert_eq!(read(&json!({"alg": "RS256"})), Ok((MediaType::Jwt, None)));
    }

    #[test]
    fn alg_is_a_string() {
        for header in
            [json!({}), json!({"alg": null}), json!({"alg": 1}), json!({"alg": ["RS256"]})]
        {
            assert_eq!(read(&header), Err(Malformed::Header), "{header}");
        }
    }

    #[test]
    fn the_media_type_is_read_in_any_case_with_or_without_application() {
        let typ = |typ: Value| read(&json!({"alg": "RS256", "typ": typ})).unwrap().0;
        for (text, expected) in [
            ("JWT", MediaType::Jwt),
            ("jwt", MediaType::Jwt),
            ("application/jwt", MediaType::Jwt),
            ("Application/AT+JWT", MediaType::AccessToken),
            ("at+jwt", MediaType::AccessToken),
            ("logout+jwt", MediaType::Logout),
            ("application/LOGOUT+jwt", MediaType::Logout),
            ("", MediaType::Other),
            ("JWS", MediaType::Other),
            ("secevent+jwt", MediaType::Other),
            ("application/application/jwt", MediaType::Other),
            ("at+jwt ", MediaType::Other),
            ("applicatioñ/jwt", MediaType::Other),
        ] {
            assert_eq!(typ(text.into()), expected, "{text}");
        }
        assert_eq!(typ(Value::Null), MediaType::Other);
        assert_eq!(typ(json!(["JWT"])), MediaType::Other);
    }

    #[test]
    fn only_the_payload_that_was_signed_is_read() {
        let signer = Signer::new(Algorithm::Es256, "k");
        let keys = set(&[signer.jwk()]);
        let token = signer.sign(&signer.header(), b"\0 no JSON");
        let jws = Jws::read(&token).unwrap();
        assert_eq!(jws.payload(), b"\0 no JSON");
        assert_eq!(jws.claims().map(|_| ()), Err(Malformed::Json));
        assert!(jws.is_signed_by(keys.named("k", Algorithm::Es256).next().unwrap()));
    }

    proptest! {
        #[test]
        fn p11_reading_never_panics(token in "[-_=.A-Za-z0-9é{}\"]{0,80}") {
            let _ = Jws::read(&token).map(|jws| jws.claims());
        }

        #[test]
        fn p11_reading_any_header_and_payload_never_panics(
            header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(),
        ) {
            let token = format!("{}.{}.AA", encode(&header), encode(&payload));
            let _ = Jws::read(&token).map(|jws| jws.claims());
        }
    }
}
