//! Who may use the admin API, and for what (contract 2, "Admin"; contract 5, `admin.tokens`).
use crate::{
    domain::secret::Secret,
    inbound::{
        credential, detail,
        problem::{Code, Problem},
    },
};
use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, header::AUTHORIZATION};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read.
    Reader,
    /// Read and change.
    Operator,
}

/// One of the tokens: not itself, but what tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its name, which histories and audit lines show.
    pub name: Box<str>,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// What it is for.
    pub role: Role,
}

impl AdminToken {
    /// A token that usher has itself.
    pub fn known(name: &str, token: &Secret, role: Role) -> Self {
        Self { name: name.into(), sha256: sha256(token.reveal()), role }
    }
}

/// All of them; without any, nobody is let in.
#[derive(Clone, Debug, Default)]
pub(super) struct AdminTokens(Box<[AdminToken]>);

impl AdminTokens {
    pub(super) fn new(tokens: impl Into<Box<[AdminToken]>>) -> Self {
        Self(tokens.into())
    }

    /// Whose token a request bears.
    ///
    /// # Errors
    /// `missing_token`, `invalid_credential`; `bad_request` where there are several.
    pub(super) fn recognise(&self, headers: &HeaderMap) -> Result<&AdminToken, Problem> {
        let value = credential::only(headers, &AUTHORIZATION)?;
        let shown = value.and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|text| credential::behind("bearer", text));
        let Some(shown) = shown.filter(|shown| !shown.is_empty()) else {
            return Err(Problem::new(Code::MissingToken, detail::MISSING_ADMIN_TOKEN));
        };
        let digest = sha256(shown.as_bytes());
        // Every one is looked at to its end, so that the time tells nothing of which is nearly right.
        let mut found = 0_u32;
        for (at, token) in (1_u32..).zip(&self.0) {
            let same: Choice = token.sha256.ct_eq(&digest);
            found.conditional_assign(&at, same);
        }
        let found = usize::try_from(found).ok().and_then(|at| self.0.get(at.checked_sub(1)?));
        found.ok_or_else(|| Problem::new(Code::InvalidCredential, detail::UNKNOWN_ADMIN_TOKEN))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn tokens() -> AdminTokens {
        AdminTokens::new([
            AdminToken::known("ops", &Secret::text("usher_adm_a"), Role::Operator),
            AdminToken::known("eye", &Secret::text("usher_adm_b"), Role::Reader),
        ])
    }

    fn recognised(values: &[&'static str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let tokens = tokens();
        let found = tokens.recognise(&headers);
        found.map(|token| token.name.to_string()).map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn a_token_is_recognised_by_its_digest_and_names_its_bearer() {
        assert_eq!(recognised(&["Bearer usher_adm_a"]), Ok("ops".into()));
        assert_eq!(recognised(&["bearer usher_adm_b"]), Ok("eye".into()));
    }

    #[test]
    fn p19_nothing_but_a_whole_token_is_taken() {
        for value in ["Bearer usher_adm_", "Bearer usher_adm_aa", "Bearer USHER_ADM_A", "Bearer x"]
        {
            assert_eq!(recognised(&[value]), Err("invalid_credential"), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "Basic dXNoZXJfYWRtX2E=", "usher_adm_a"] {
            assert_eq!(recognised(&[value]), Err("missing_token"), "{value}");
        }
        assert_eq!(recognised(&[]), Err("missing_token"));
        assert_eq!(recognised(&["Bearer x", "Bearer usher_adm_a"]), Err("bad_request"));
        assert_eq!(recognised(&["Bearer x, Bearer usher_adm_a"]), Err("bad_request"));
    }

    #[test]
    fn p19_without_tokens_nobody_is_let_in() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer usher_adm_a"));
        let refused = AdminTokens::default().recognise(&headers).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidCredential);
    }
}
