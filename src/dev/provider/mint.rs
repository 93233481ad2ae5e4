//! The tokens that the provider gives.
use super::{AUDIENCE, CLIENT_ID, Provider, signer::NoSigner, users::User};
use serde_json::{Value, json};

/// How long they live, in seconds: as long as Keycloak's.
const LIFE: u64 = 300;

/// What one answer of the token endpoint holds.
#[derive(Debug)]
pub struct Minting {
    /// RFC 9068.
    pub access_token: String,
    /// OpenID Connect Core 1.0 section 2.
    pub id_token: String,
    /// Seconds.
    pub expires_in: u64,
}

impl Provider {
    /// Tokens for `user`, now.
    ///
    /// # Errors
    /// [`NoSigner`], where signing fails.
    pub fn mint(&self, user: &User, nonce: Option<&str>) -> Result<Minting, NoSigner> {
        let mut id = self.claims(user.sub, CLIENT_ID);
        add(&mut id, json!({"name": user.name, "auth_time": self.clock.now().0}));
        if let Some(nonce) = nonce {
            add(&mut id, json!({"nonce": nonce}));
        }
        let mut access = self.claims(user.sub, AUDIENCE);
        add(
            &mut access,
            json!({
                "client_id": CLIENT_ID, "scope": "openid profile", "groups": user.groups,
                "jti": self.random(),
            }),
        );
        Ok(Minting {
            access_token: self.sign(&json!({"typ": "at+jwt"}), &access)?,
            id_token: self.sign(&json!({"typ": "JWT"}), &id)?,
            expires_in: LIFE,
        })
    }

    /// The claims that every token has: `iss`, `sub`, `aud`, `iat`, `exp`.
    pub fn claims(&self, sub: &str, audience: &str) -> Value {
        let now = self.clock.now().0;
        json!({
            "iss": self.issuer(), "sub": sub, "aud": audience, "iat": now,
            "exp": now.saturating_add(LIFE),
        })
    }

    /// Any token at all, signed with the newest key.
    ///
    /// # Errors
    /// [`NoSigner`], where signing fails.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, NoSigner> {
        self.signers.load().first().ok_or(NoSigner)?.sign(header, claims)
    }
}

fn add(claims: &mut Value, more: Value) {
    if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more) {
        claims.extend(more);
    }
}
