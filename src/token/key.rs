//! The public keys of an issuer.

/// The usable keys of one JWK Set.
#[derive(Debug, Default)]
pub struct KeySet;
