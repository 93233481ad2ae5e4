//! The demo page of `usher dev`, in plain files: sign in, look at the exchange, see the identity stay.
//!
//! The page is a browser client of the embedded provider (authorization code with PKCE), and gets its tokens
//! through `/conversations/client.js`. `config.json` tells it where the provider is.
use crate::{
    dev::provider::{AUDIENCE, CLIENT_ID},
    inbound::public::Page,
};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::json;

/// The sheet of the page and of the provider's user picker.
pub const SHEET: &str = include_str!("page.css");
/// Where both find it, each on its own origin.
pub const SHEET_PATH: &str = "/dev/page.css";
/// The provider's user picker.
pub(super) const PICKER: &str = include_str!("picker.html");

/// The page's files, for the public listener. `issuer` is the embedded provider's, and `home` the page's own address
/// with its final slash, to which the provider sends the browser back.
pub fn pages(issuer: &str, home: &str) -> [Page; 4] {
    let file = |path: &str, content_type, body: &'static str| Page {
        path: path.into(),
        content_type,
        policy: None,
        body: Bytes::from_static(body.as_bytes()),
    };
    [
        Page {
            policy: policy(issuer),
            ..file("/", "text/html; charset=utf-8", include_str!("index.html"))
        },
        file("/dev/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
        file(SHEET_PATH, "text/css; charset=utf-8", SHEET),
        Page { body: config(issuer, home), ..file("/dev/config.json", "application/json", "") },
    ]
}

fn config(issuer: &str, home: &str) -> Bytes {
    let config = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "client_id": CLIENT_ID,
        "redirect_uri": home,
        "audience": AUDIENCE,
    });
    Bytes::from(config.to_string())
}

/// Own script and sheet alone, and no conversation with anybody but usher and the provider: whatever a claim
/// says, the page runs nothing of it and sends nothing away.
fn policy(issuer: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
         connect-src 'self' {issuer}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::provider::USERS;

    const DOCUMENTS: [&str; 2] = [include_str!("index.html"), PICKER];

    #[test]
    fn no_document_needs_more_than_its_policy_lets_pass() {
        for document in DOCUMENTS {
            for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "<iframe"] {
                assert!(!document.contains(inline), "{inline}");
            }
            let scripts = document.matches("<script").count();
            assert_eq!(scripts, document.matches("<script type=\"module\" src=\"/dev/").count());
        }
        let [page, ..] = pages("http://localhost:4184", "http://localhost:4180/");
        let policy = page.policy.unwrap();
        assert!(policy.to_str().unwrap().contains("connect-src 'self' http://localhost:4184;"));
        assert!(!policy.to_str().unwrap().contains("unsafe"));
    }

    #[test]
    fn every_file_that_a_document_names_is_served() {
        let pages = pages("http://localhost:4184", "http://localhost:4180/");
        for document in DOCUMENTS {
            for attribute in ["src=\"/", "href=\"/"] {
                for rest in document.split(attribute).skip(1) {
                    let path = format!("/{}", rest.split('"').next().unwrap());
                    assert!(pages.iter().any(|page| *page.path == *path), "{path}");
                }
            }
        }
    }

    #[test]
    fn the_configuration_tells_the_page_where_to_sign_in() {
        let [.., config] = pages("http://localhost:4184", "http://localhost:4180/");
        let config: serde_json::Value = serde_json::from_slice(&config.body).unwrap();
        let expected = json!({
            "issuer": "http://localhost:4184",
            "authorization_endpoint": "http://localhost:4184/authorize",
            "token_endpoint": "http://localhost:4184/token",
            "client_id": "usher-demo",
            "redirect_uri": "http://localhost:4180/",
            "audience": "chat",
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn the_picker_offers_each_user_and_nobody_else() {
        assert_eq!(PICKER.matches("data-user=").count(), USERS.len());
        for user in USERS {
            let button = format!("name=\"user\" value=\"{0}\" data-user=\"{0}\"", user.sub);
            assert!(PICKER.contains(&button) && PICKER.contains(user.name), "{}", user.name);
        }
    }

    #[test]
    fn the_elements_that_others_look_for_are_there() {
        for id in [
            "sign-in",
            "switch-user",
            "identity",
            "chat-token",
            "upstream-claims",
            "other-device",
            "other-identity",
            "error",
        ] {
            assert!(DOCUMENTS[0].contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}
