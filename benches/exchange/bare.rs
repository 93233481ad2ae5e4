//! The least a hyper server can do for an answer of the same bytes: the ceiling.
//!
//! Same runtime, allocator, profile and answer as usher; no routing, no limits, no log, and it never looks at
//! the request.
use crate::{Fault, answer};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, sync::Arc};
use tokio::net::TcpListener;

/// `bare ADDRESS FILE`: serves the answer whose bytes, head and body, are in the file.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Fault> {
    let [address, file] = arguments else { return Err("usage: bare ADDRESS FILE".into()) };
    let template = Arc::new(Template::read(&std::fs::read(file)?)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let template = Arc::clone(&template);
            let service = service_fn(move |_: Request<Incoming>| {
                std::future::ready(Ok::<_, Infallible>(template.response()))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// What to answer.
struct Template {
    headers: HeaderMap,
    body: Bytes,
}

impl Template {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let span = answer::span(bytes)?.ok_or("the answer to repeat is cut short")?;
        let (head, body) = bytes.split_at(span.head);
        let mut headers = HeaderMap::new();
        for line in std::str::from_utf8(head)?.lines().skip(1) {
            let Some((name, value)) = line.split_once(": ") else { continue };
            headers.append(header::HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
        }
        // hyper writes these two itself.
        headers.remove(header::DATE);
        headers.remove(header::CONTENT_LENGTH);
        Ok(Self { headers, body: Bytes::copy_from_slice(body) })
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        self.headers.clone_into(response.headers_mut());
        response
    }
}
