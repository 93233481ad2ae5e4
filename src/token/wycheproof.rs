//! Holds the signature layer against Project Wycheproof's vectors, and equal to jsonwebtoken.
use super::{
    algorithm::Algorithm,
    key::{KeySet, SkippedKey},
    read::Jws,
    signature::{self, Unsigned},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const SIGNATURES: &str =
    include_str!("../../tests/fixtures/wycheproof/json_web_signature_test.json");
const KEYS: &str = include_str!("../../tests/fixtures/wycheproof/json_web_key_test.json");

struct Vector {
    /// `jws 33` or `jwk 5`.
    name: String,
    comment: String,
    keys: Value,
    token: String,
    valid: bool,
}

fn vectors() -> Vec<Vector> {
    let files = [("jws", SIGNATURES), ("jwk", KEYS)].into_iter();
    files
        .flat_map(|(kind, text)| {
            let file: Value = serde_json::from_str(text).unwrap();
            let groups = file["testGroups"].as_array().unwrap().clone();
            groups.into_iter().flat_map(move |group| vectors_of(kind, &group))
        })
        .collect()
}

fn vectors_of(kind: &str, group: &Value) -> Vec<Vector> {
    // A symmetric key has no public half.
    let key = group.get("public").unwrap_or(&group["private"]);
    let keys = if key.get("keys").is_some() { key.clone() } else { json!({"keys": [key]}) };
    let vector = |test: &Value| Vector {
        name: format!("{kind} {}", test["tcId"]),
        comment: test["comment"].as_str().unwrap().to_owned(),
        keys: keys.clone(),
        token: test["jws"].as_str().unwrap().to_owned(),
        valid: test["result"] == "valid",
    };
    group["tests"].as_array().unwrap().iter().map(vector).collect()
}

/// The payload, or the one reason why not.
fn verify(vector: &Vector) -> Result<Vec<u8>, String> {
    let (keys, skipped) = KeySet::read(vector.keys.to_string().as_bytes()).unwrap();
    let jws = Jws::read(&vector.token).map_err(|error| format!("token is malformed: {error}"))?;
    match signature::signer(&jws, &keys) {
        Ok(_) => Ok(jws.payload().to_vec()),
        Err(Unsigned::Algorithm) if jws.algorithm().is_none() => {
            Err(format!("{} is not accepted from an issuer", said_algorithm(&vector.token)))
        }
        Err(Unsigned::Algorithm) => {
            Err(format!("key is for another algorithm than {}", said_algorithm(&vector.token)))
        }
        Err(Unsigned::UnknownKey) => Err(match skipped.first() {
            Some(SkippedKey { reason, .. }) => reason.to_string(),
            None => Unsigned::UnknownKey.to_string(),
        }),
        Err(Unsigned::BadSignature) => Err(Unsigned::BadSignature.to_string()),
    }
}

fn said_algorithm(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["alg"].as_str().unwrap().to_owned()
}

#[test]
fn all_427_vectors_are_there() {
    assert_eq!(vectors().len(), 427);
}

#[test]
fn no_invalid_vector_verifies() {
    let passed: Vec<_> =
        vectors().into_iter().filter(|v| !v.valid && verify(v).is_ok()).map(|v| v.name).collect();
    assert_eq!(passed, [""; 0]);
}

#[test]
fn every_valid_vector_verifies_but_those_refused_by_design() {
    let vectors = vectors();
    let valid = vectors.iter().filter(|vector| vector.valid);
    let refused: Vec<_> = valid
        .filter_map(|vector| {
            let payload = URL_SAFE_NO_PAD.decode(vector.token.split('.').nth(1).unwrap_or(""));
            match verify(vector) {
                Ok(read) => {
                    assert_eq!(read, payload.unwrap(), "{}", vector.name);
                    None
                }
                Err(reason) => Some(format!("{} ({}): {reason}", vector.name, vector.comment)),
            }
        })
        .collect();
    insta::with_settings!({
        snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true,
        description => "valid vectors of Project Wycheproof that usher refuses by design, each with its one reason",
    }, {
        insta::assert_snapshot!("wycheproof_refused_by_design", refused.join("\n"));
    });
}

/// jsonwebtoken's verdict over the same three parts.
fn verify_with_jsonwebtoken(vector: &Vector) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(&vector.token) else { return false };
    let Some((signed, signature)) = vector.token.rsplit_once('.') else { return false };
    let Ok(set) = serde_json::from_value::<jsonwebtoken::jwk::JwkSet>(vector.keys.clone()) else {
        return false;
    };
    set.keys.iter().any(|jwk| {
        jsonwebtoken::DecodingKey::from_jwk(jwk).is_ok_and(|key| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, header.alg)
                .unwrap_or(false)
        })
    })
}

#[test]
fn usher_and_jsonwebtoken_agree_on_every_vector_but_for_what_usher_refuses_by_rule() {
    let disputed: Vec<_> = vectors()
        .into_iter()
        .filter_map(|vector| match (verify(&vector), verify_with_jsonwebtoken(&vector)) {
            (Ok(_), true) | (Err(_), false) => None,
            (Ok(_), false) => Some(format!("{}: only usher accepts it", vector.name)),
            (Err(reason), true) => {
                let valid = if vector.valid { "valid" } else { "invalid" };
                Some(format!("{} ({}, {valid}): {reason}", vector.name, vector.comment))
            }
        })
        .collect();
    insta::with_settings!({
        snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true,
        description => "vectors that jsonwebtoken accepts and usher refuses, each with its one reason",
    }, {
        insta::assert_snapshot!("wycheproof_stricter_than_jsonwebtoken", disputed.join("\n"));
    });
}

/// Where a signature is well-formed and a key fits, nothing but the mathematics is left to differ.
#[test]
fn usher_and_jsonwebtoken_agree_on_every_signature_under_every_fitting_algorithm() {
    let mut compared = 0;
    for vector in vectors() {
        let (keys, _) = KeySet::read(vector.keys.to_string().as_bytes()).unwrap();
        let Some((signed, encoded)) = vector.token.rsplit_once('.') else { continue };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(encoded) else { continue };
        let jwk = serde_json::from_value(vector.keys["keys"][0].clone()).unwrap();
        let Ok(theirs) = jsonwebtoken::DecodingKey::from_jwk(&jwk) else { continue };
        for algorithm in Algorithm::ALL {
            for ours in keys.fitting(algorithm) {
                let name = algorithm.as_str().parse().unwrap();
                assert_eq!(
                    ours.verifies(algorithm, signed.as_bytes(), &signature),
                    jsonwebtoken::crypto::verify(encoded, signed.as_bytes(), &theirs, name)
                        .unwrap_or(false),
                    "{} under {}",
                    vector.name,
                    algorithm.as_str()
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared}");
}
