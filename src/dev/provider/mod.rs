//! An OpenID provider with three users and no passwords: authorization code with PKCE for the demo page, and a
//! password grant without a password for a `curl` line.
//!
//! It is a stand-in for a real one, strict where a client relies on it (OpenID Connect Core 1.0, Discovery 1.0,
//! RFC 7636, RFC 9068, RFC 9207), and it asks nobody who they are.
mod answer;
mod authorize;
mod codes;
mod kept;
mod listen;
mod mint;
mod redeem;
mod reply;
mod signer;
mod users;

pub use kept::NoKeptSigner;
pub use listen::{Listening, listen};
pub use mint::Minting;
pub use signer::{NoSigner, Signer};
pub use users::{USERS, User};

use crate::ports::{clock::Clock, entropy::Entropy};
use arc_swap::{ArcSwap, ArcSwapOption};
use codes::Codes;
use serde_json::Value;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The only client: public, with PKCE.
pub const CLIENT_ID: &str = "usher-demo";
/// The audience of access tokens.
pub const AUDIENCE: &str = "chat";

/// The provider. Its issuer is the address it listens on.
#[derive(Debug)]
pub struct Provider {
    issuer: Box<str>,
    signers: ArcSwap<Vec<Arc<Signer>>>,
    codes: Codes,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    jwks_requests: AtomicU64,
    broken: AtomicBool,
    delay_millis: AtomicU64,
    published: ArcSwapOption<Value>,
}

impl Provider {
    /// A provider that calls itself `issuer` and signs with `signer`.
    pub fn new(
        issuer: &str,
        signer: Signer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            signers: ArcSwap::from_pointee(vec![Arc::new(signer)]),
            codes: Codes::default(),
            clock,
            entropy,
            jwks_requests: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            delay_millis: AtomicU64::new(0),
            published: ArcSwapOption::empty(),
        }
    }

    /// What `iss` says.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with `signer` from now on; the keys before it stay published, unless `forget` drops them.
    pub fn rotate(&self, signer: Signer, forget: bool) {
        let mut signers = vec![Arc::new(signer)];
        if !forget {
            signers.extend(self.signers.load().iter().cloned());
        }
        self.signers.store(Arc::new(signers));
    }

    /// Answers every request with 500 from now on, or no longer.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Answers each request only after `delay`, from now on.
    pub fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_millis.store(millis, Ordering::Relaxed);
    }

    /// Publishes `jwks` in place of its own keys, or its own again: for what a provider should not do.
    pub fn publish(&self, jwks: Option<Value>) {
        self.published.store(jwks.map(Arc::new));
    }

    /// How often the keys were asked for.
    pub fn jwks_requests(&self) -> u64 {
        self.jwks_requests.load(Ordering::Relaxed)
    }

    fn random(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let mut bytes = [0; 24];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.issuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outbound::system::SystemClock, ports::entropy::CountedEntropy};
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::TokioIo;
    use openidconnect::{
        AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
        OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _,
        core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata},
    };
    use std::{collections::HashMap, io, net::SocketAddr};
    use tokio::{net::TcpStream, task::JoinSet};
    use url::{Url, form_urlencoded};

    const HOME: &str = "http://127.0.0.1:9/callback?from=test";

    /// A provider that listens until it is dropped.
    struct Served {
        provider: Arc<Provider>,
        address: SocketAddr,
        _task: JoinSet<()>,
    }

    async fn served() -> Served {
        let listening = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listening.address();
        let provider = Arc::new(Provider::new(
            &format!("http://{address}"),
            Signer::random().unwrap(),
            Arc::new(SystemClock::start()),
            Arc::new(CountedEntropy::default()),
        ));
        let answering = Arc::clone(&provider);
        let mut task = JoinSet::new();
        task.spawn(listening.serve(move |request| Arc::clone(&answering).answer(request)));
        Served { provider, address, _task: task }
    }

    /// One request on a connection of its own.
    async fn send(request: Request<Vec<u8>>) -> io::Result<Response<Vec<u8>>> {
        let authority = request.uri().authority().unwrap().clone();
        let stream = TcpStream::connect(authority.as_str()).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut open = JoinSet::new();
        open.spawn(connection);
        let (mut head, body) = request.into_parts();
        head.headers.insert("host", authority.as_str().parse().unwrap());
        head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
        let request = Request::from_parts(head, Full::new(Bytes::from(body)));
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Ok(Response::from_parts(head, body.collect().await.unwrap().to_bytes().to_vec()))
    }

    async fn as_client(request: HttpRequest) -> io::Result<HttpResponse> {
        send(request).await
    }

    async fn get(url: &str) -> Response<Vec<u8>> {
        send(Request::get(url).body(Vec::new()).unwrap()).await.unwrap()
    }

    async fn post(url: &str, fields: &[(&str, &str)]) -> Response<Vec<u8>> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request =
            Request::post(url).header("content-type", "application/x-www-form-urlencoded");
        send(request.body(form.into_bytes()).unwrap()).await.unwrap()
    }

    /// What a browser does with the picker: sends its hidden fields and the button that was pressed.
    async fn picks(
        address: SocketAddr,
        page: &str,
        button: (&str, &str),
    ) -> HashMap<String, String> {
        let hidden = page.split("<input type=\"hidden\" name=\"").skip(1).map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            (name, rest.split_once('"').unwrap().0.replace("&amp;", "&"))
        });
        let mut fields: Vec<_> = hidden.collect();
        fields.push((button.0, button.1.to_owned()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = post(&format!("http://{address}/authorize"), &fields).await;
        assert_eq!(answer.status(), 303);
        let location = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert!(location.as_str().starts_with(HOME), "the client's own query is kept: {location}");
        location.query_pairs().into_owned().collect()
    }

    // `openidconnect` is a stranger to this provider and forgives it nothing.
    #[tokio::test]
    async fn a_strict_client_discovers_it_signs_in_and_accepts_the_id_token() {
        let Served { provider, address, _task } = served().await;
        let issuer = IssuerUrl::new(provider.issuer().to_owned()).unwrap();
        let metadata = CoreProviderMetadata::discover_async(issuer, &as_client).await.unwrap();
        let client =
            CoreClient::from_provider_metadata(metadata, ClientId::new(CLIENT_ID.into()), None)
                .set_redirect_uri(RedirectUrl::new(HOME.into()).unwrap());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (url, state, nonce) = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("profile".into()))
            .set_pkce_challenge(challenge)
            .url();
        let picker = get(url.as_str()).await;
        let policy = picker.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("style-src 'self'") && !policy.contains("script-src"), "{policy}");
        let page = String::from_utf8(picker.into_body()).unwrap();
        let back = picks(address, &page, ("user", "alice")).await;
        assert_eq!(&back["state"], state.secret());
        assert_eq!(back["iss"], provider.issuer());

        let code = || AuthorizationCode::new(back["code"].clone());
        let verifier_text = verifier.secret().clone();
        let request = client.exchange_code(code()).unwrap().set_pkce_verifier(verifier);
        let tokens = request.request_async(&as_client).await.unwrap();
        let id_token = tokens.id_token().unwrap();
        let claims = id_token.claims(&client.id_token_verifier(), &nonce).unwrap();
        assert_eq!(claims.subject().as_str(), "alice");
        id_token.claims(&client.id_token_verifier(), &Nonce::new_random()).unwrap_err();
        assert_eq!(tokens.access_token().secret().split('.').count(), 3);

        let again = client.exchange_code(code()).unwrap();
        let verifier = openidconnect::PkceCodeVerifier::new(verifier_text);
        again.set_pkce_verifier(verifier).request_async(&as_client).await.unwrap_err();
    }

    #[tokio::test]
    async fn whoever_cancels_comes_back_without_a_code() {
        let Served { provider, address, _task } = served().await;
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("client_id", CLIENT_ID),
                ("redirect_uri", HOME),
                ("response_type", "code"),
                ("scope", "openid"),
                ("state", "s & t"),
                ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
                ("code_challenge_method", "S256"),
            ])
            .finish();
        let page = get(&format!("{}/authorize?{query}", provider.issuer())).await.into_body();
        let back = picks(address, &String::from_utf8(page).unwrap(), ("cancel", "1")).await;
        assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", "s & t"));
        assert!(!back.contains_key("code"));
    }

    #[tokio::test]
    async fn a_name_alone_gets_a_token_that_any_page_may_read() {
        let Served { provider, .. } = &served().await;
        let url = format!("{}/token", provider.issuer());
        let mut fields = [
            ("grant_type", "password"),
            ("username", "carol"),
            ("client_id", CLIENT_ID),
            ("scope", "openid"),
        ];
        let answer = post(&url, &fields).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let tokens: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(tokens["token_type"], "Bearer");
        fields[1].1 = "mallory";
        let refused = post(&url, &fields).await;
        let error: Value = serde_json::from_slice(refused.body()).unwrap();
        assert_eq!((refused.status().as_u16(), &error["error"]), (400, &"invalid_grant".into()));
    }

    #[tokio::test]
    async fn it_can_do_what_a_provider_should_not() {
        let Served { provider, .. } = &served().await;
        let url = format!("{}/jwks", provider.issuer());
        let kids = async || -> Vec<String> {
            let keys: Value = serde_json::from_slice(get(&url).await.body()).unwrap();
            let keys = keys["keys"].as_array().unwrap();
            keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        let first = kids().await;
        for signer in [Signer::random_es256().unwrap(), Signer::random_eddsa().unwrap()] {
            let kid = signer.kid().to_owned();
            provider.rotate(signer, false);
            assert_eq!(kids().await.first(), Some(&kid));
        }
        assert_eq!(kids().await.last(), first.first());
        provider.rotate(Signer::random().unwrap(), true);
        assert_eq!(kids().await.len(), 1);
        provider.publish(Some(serde_json::json!({"keys": []})));
        assert!(kids().await.is_empty());
        provider.publish(None);
        provider.set_broken(true);
        assert_eq!(get(&url).await.status(), 500);
        assert_eq!(provider.jwks_requests(), 7, "the broken one counts");
    }

    #[tokio::test]
    async fn it_answers_no_sooner_than_it_is_told() {
        let Served { provider, .. } = &served().await;
        let delay = Duration::from_millis(60);
        provider.set_delay(delay);
        let clock = SystemClock::start();
        assert_eq!(get(&format!("{}/dev/page.css", provider.issuer())).await.status(), 200);
        assert!(clock.uptime() >= delay);
    }
}
