//! OpenID Connect issuers: where their keys are, and the keys themselves.
//!
//! ```text
//! source: discovery -> jwks -> token::key::KeySet        one attempt, by one deadline
//! keys:   refresher (one task an issuer) -> held         when attempts are made, and what is kept meanwhile
//! ```
pub mod discovery;
pub mod jwks;
pub mod keys;
pub mod source;
