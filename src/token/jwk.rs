//! Reads one JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037).
use super::{
    algorithm::Algorithm,
    key::{SkipReason, VerifyingKey},
    roca,
};
use aws_lc_rs::{
    digest,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
        RsaParameters, VerificationAlgorithm,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk,
    KeyAlgorithm, KeyOperations, OctetKeyPairParameters, PublicKeyUse, RSAKeyParameters,
};
use serde_json::Value;

/// A public key, ready for each of the algorithms it may be used with.
struct Parsed {
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
    public: Vec<u8>,
}

/// Reads an entry of a JWK Set. Unknown members are ignored (RFC 7517 section 4).
pub(super) fn read(entry: Value) -> Result<VerifyingKey, SkipReason> {
    // jsonwebtoken drops private members, so they are looked for first.
    let private = entry.get("d").is_some();
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| SkipReason::Malformed)?;
    check_use(&jwk.common)?;
    let parsed = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => return Err(SkipReason::Symmetric),
        _ if private => return Err(SkipReason::Private),
        AlgorithmParameters::RSA(key) => rsa(key, &jwk.common)?,
        AlgorithmParameters::EllipticCurve(key) => ecdsa(key, &jwk.common)?,
        AlgorithmParameters::OctetKeyPair(key) => ed25519(key, &jwk.common)?,
        AlgorithmParameters::Other(other) => return Err(strange(&other.fields)),
        // jsonwebtoken may learn of more types than usher accepts.
        _ => return Err(SkipReason::UnknownType),
    };
    let kid = jwk.common.key_id.map(String::into_boxed_str);
    let mark = mark(kid.as_deref(), &parsed);
    Ok(VerifyingKey::new(kid, parsed.verifiers.into(), mark))
}

fn check_use(common: &CommonParameters) -> Result<(), SkipReason> {
    let signs = common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature);
    let verifies =
        common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    if signs && verifies { Ok(()) } else { Err(SkipReason::Use) }
}

/// What is wrong with an entry that is of no known form.
fn strange(fields: &std::collections::BTreeMap<String, Value>) -> SkipReason {
    match fields.get("kty").and_then(Value::as_str) {
        Some("oct") => SkipReason::Symmetric,
        Some("EC" | "OKP") if fields.get("crv").is_some_and(Value::is_string) => {
            let crv = fields.get("crv").and_then(Value::as_str);
            let known = matches!(crv, Some("P-256" | "P-384" | "Ed25519"));
            if known { SkipReason::Malformed } else { SkipReason::Curve }
        }
        Some("RSA" | "EC" | "OKP") | None => SkipReason::Malformed,
        Some(_) => SkipReason::UnknownType,
    }
}

/// Those of `fitting` that the key's own `alg` allows.
fn allowed<'a, P>(
    common: &CommonParameters,
    fitting: &'a [(Algorithm, P)],
) -> Result<Vec<&'a (Algorithm, P)>, SkipReason> {
    let allowed: Vec<_> = fitting
        .iter()
        .filter(|(algorithm, _)| common.key_algorithm.is_none_or(|own| own == name(*algorithm)))
        .collect();
    if allowed.is_empty() { Err(SkipReason::Algorithm) } else { Ok(allowed) }
}

fn name(algorithm: Algorithm) -> KeyAlgorithm {
    match algorithm {
        Algorithm::Rs256 => KeyAlgorithm::RS256,
        Algorithm::Rs384 => KeyAlgorithm::RS384,
        Algorithm::Rs512 => KeyAlgorithm::RS512,
        Algorithm::Ps256 => KeyAlgorithm::PS256,
        Algorithm::Ps384 => KeyAlgorithm::PS384,
        Algorithm::Ps512 => KeyAlgorithm::PS512,
        Algorithm::Es256 => KeyAlgorithm::ES256,
        Algorithm::Es384 => KeyAlgorithm::ES384,
        Algorithm::EdDsa => KeyAlgorithm::EdDSA,
    }
}

static RSA: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
];

fn rsa(key: &RSAKeyParameters, common: &CommonParameters) -> Result<Parsed, SkipReason> {
    let (n, e) = (number(&key.n)?, number(&key.e)?);
    // The crate would notice only when the first token comes.
    if !(2048..=8192).contains(&bits(&n)) {
        return Err(SkipReason::Size);
    }
    let odd = e.last().is_some_and(|byte| byte & 1 == 1);
    if !odd || !(2..=33).contains(&bits(&e)) || roca::has_fingerprint(&n) {
        return Err(SkipReason::Weak);
    }
    let components = PublicKeyComponents { n: &n, e: &e };
    let verifiers = allowed(common, &RSA)?
        .into_iter()
        .map(|(algorithm, parameters)| {
            Ok((*algorithm, components.to_parsed_public_key(parameters)?))
        })
        .collect::<Result<_, aws_lc_rs::error::KeyRejected>>()
        .map_err(|_| SkipReason::Malformed)?;
    let length = u32::try_from(n.len()).unwrap_or(u32::MAX).to_be_bytes();
    Ok(Parsed { verifiers, public: [b"RSA", &length[..], &n, &e].concat() })
}

/// A big-endian number. Some issuers write a zero byte before it, against RFC 7518 section 6.3.1.1.
fn number(text: &str) -> Result<Vec<u8>, SkipReason> {
    let bytes = decode(text)?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn ecdsa(
    key: &EllipticCurveKeyParameters,
    common: &CommonParameters,
) -> Result<Parsed, SkipReason> {
    let (algorithm, checks, size): (_, &dyn VerificationAlgorithm, _) = match key.curve {
        EllipticCurve::P256 => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
        EllipticCurve::P384 => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
        EllipticCurve::P521 | EllipticCurve::Ed25519 | _ => return Err(SkipReason::Curve),
    };
    let (x, y) = (decode(&key.x)?, decode(&key.y)?);
    // RFC 7518 section 6.2.1.2: the full size, leading zeros included.
    if x.len() != size || y.len() != size {
        return Err(SkipReason::Malformed);
    }
    one(common, algorithm, checks, [&[4][..], &x, &y].concat())
}

fn ed25519(key: &OctetKeyPairParameters, common: &CommonParameters) -> Result<Parsed, SkipReason> {
    if key.curve != EllipticCurve::Ed25519 {
        return Err(SkipReason::Curve);
    }
    let x = decode(&key.x)?;
    if x.len() != 32 {
        return Err(SkipReason::Malformed);
    }
    one(common, Algorithm::EdDsa, &ED25519, x)
}

fn one(
    common: &CommonParameters,
    algorithm: Algorithm,
    checks: &'static dyn VerificationAlgorithm,
    public: Vec<u8>,
) -> Result<Parsed, SkipReason> {
    allowed(common, &[(algorithm, ())])?;
    let key = ParsedPublicKey::new(checks, &public).map_err(|_| SkipReason::Malformed)?;
    Ok(Parsed { verifiers: vec![(algorithm, key)], public })
}

fn decode(text: &str) -> Result<Vec<u8>, SkipReason> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| SkipReason::Malformed)
}

/// Tells keys apart, also where only the name or the algorithms differ.
fn mark(kid: Option<&str>, parsed: &Parsed) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let kid = kid.map(|kid| (kid.len() as u64, kid));
    context.update(&kid.map_or(u64::MAX, |(length, _)| length).to_be_bytes());
    context.update(kid.map_or("", |(_, kid)| kid).as_bytes());
    for algorithm in Algorithm::ALL {
        let fits = parsed.verifiers.iter().any(|(fitting, _)| *fitting == algorithm);
        context.update(&[u8::from(fits)]);
    }
    context.update(&parsed.public);
    let mut mark = [0; 32];
    mark.copy_from_slice(context.finish().as_ref());
    mark
}
