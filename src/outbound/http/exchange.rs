//! One request and its answer on one connection.
use super::{Get, dial::Stream, fault::FetchError};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT,
    },
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use url::Position;

/// What usher calls itself.
const NAME: &str = concat!("usher/", env!("CARGO_PKG_VERSION"));

/// How much of an answer's head is read.
const HEAD_CAP: usize = 32 * 1024;

/// Writes `get` in origin form (RFC 9112 section 3.2.1).
pub(super) fn request(get: &Get<'_>) -> Result<Request<Full<Bytes>>, FetchError> {
    // From the host to the port: without user name and password.
    let authority = &get.url[Position::BeforeHost..Position::AfterPort];
    let path = &get.url[Position::BeforePath..Position::AfterQuery];
    let mut request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, NAME)
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(ACCEPT_ENCODING, "identity")
        .body(Full::default())
        .map_err(|_| FetchError::Address)?;
    if let Some(bearer) = get.bearer {
        let mut value = HeaderValue::try_from([b"Bearer ", bearer.reveal()].concat())
            .map_err(|_| FetchError::Bearer)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// Writes a POST of `body` to where `get` leads.
pub(super) fn post(
    get: &Get<'_>,
    kind: HeaderValue,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, FetchError> {
    let mut request = request(get)?;
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(request.map(|_| Full::new(body)))
}

/// Sends `request` and reads the body of a good answer, at most `cap` bytes of it.
pub(super) async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    cap: usize,
) -> Result<Bytes, FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(HEAD_CAP)
        .max_buf_size(2 * HEAD_CAP)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Exchange)?;
    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(FetchError::Exchange)?;
        read(response, cap).await
    });
    // Both in this one future, so that a caller who gives up leaves nothing running.
    tokio::select! {
        done = &mut answer => return done,
        // What the connection had to tell, it has told the answer.
        _ = connection => {}
    }
    answer.await
}

async fn read(response: Response<Incoming>, cap: usize) -> Result<Bytes, FetchError> {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchError::Redirect(status.as_u16())),
        status => return Err(FetchError::Status(status.as_u16())),
    }
    if is_encoded(&head.headers) {
        return Err(FetchError::Encoded);
    }
    if body.size_hint().lower() > u64::try_from(cap).unwrap_or(u64::MAX) {
        return Err(FetchError::TooLong(cap));
    }
    match Limited::new(body, cap).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong(cap)),
        Err(_) => Err(FetchError::Body),
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
