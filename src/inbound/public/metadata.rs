//! The authorization server's metadata (RFC 8414), for those who find the exchange by it.
use bytes::Bytes;

/// Makes the document for the address users see, a URL without a final slash, and the prefix below it.
///
/// RFC 8414 section 3.1 wants the well-known part between host and path, which is how the route has it.
pub(super) fn document(url: &str, prefix: &str) -> Bytes {
    let issuer = format!("{url}{prefix}");
    let document = serde_json::json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "grant_types_supported": [super::oauth::GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["none"],
        // Required by section 2, and there is no authorization endpoint.
        "response_types_supported": [],
    });
    Bytes::from(document.to_string())
}
