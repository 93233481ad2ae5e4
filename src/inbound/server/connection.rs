//! One connection, from its first byte to its last.
use super::{
    Handler,
    drain::Drain,
    gate::{Gate, UNFRAMED},
    limits::Limits,
    streams::Streams,
    watchdog::{Verdict, Watchdog},
    wire::{Version, Wire},
};
use crate::inbound::{
    answer::Answer,
    contents::Contents,
    detail,
    request::{Call, Peer},
};
use http::{
    HeaderValue, Method, Request,
    header::{CONNECTION, CONTENT_LENGTH, HOST},
};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout, timeout_at},
};

/// What every connection of a listener shares.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
}

/// Serves `socket` until it ends, stalls, or idles for too long.
pub(super) async fn serve<S, H>(
    socket: S,
    negotiated: Option<Version>,
    peer: Peer,
    shared: Arc<Shared<H>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let gate = Arc::new(Gate::default());
    let mut wire = Wire::new(socket, Arc::clone(&gate));
    if !first_byte_comes(&mut wire, &shared).await {
        return;
    }
    let began = Instant::now();
    let version = match negotiated {
        Some(version) => version,
        None => match timeout_at(began + shared.limits.head, wire.sniff()).await {
            Ok(Ok(version)) => version,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    wire.speak(version);
    let link = Link { gate, peer, shared };
    let watchdog = Watchdog::new(link.shared.limits, began);
    match version {
        Version::Http1 => serve_http1(wire, link, watchdog).await,
        Version::Http2 => serve_http2(wire, link, watchdog).await,
    }
}

/// Waits for the client to begin; while usher drains, only as long as a request may still be on its way.
async fn first_byte_comes<S, H>(wire: &mut Wire<S>, shared: &Shared<H>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let drained = async {
        let begun = shared.drain.begun();
        if !shared.drain.is_on() {
            begun.await;
        }
        tokio::time::sleep(shared.limits.drain_idle).await;
    };
    tokio::select! {
        read = timeout(shared.limits.first_byte, wire.first_byte()) => matches!(read, Ok(Ok(()))),
        () = drained => false,
    }
}

/// What the requests of one connection share.
struct Link<H> {
    gate: Arc<Gate>,
    peer: Peer,
    shared: Arc<Shared<H>>,
}

impl<H: Handler> Link<H> {
    /// hyper calls this as soon as it has read a head, and polls what it returns later: the gate has to know
    /// about the body before hyper reads on.
    fn take(
        &self,
        request: Request<Incoming>,
        version: Version,
    ) -> impl Future<Output = Result<Answer, Infallible>> + use<H> {
        let length = match request.body() {
            body if body.is_end_stream() => 0,
            body => body.size_hint().exact().unwrap_or(UNFRAMED),
        };
        let bodiless = version == Version::Http2 && request.method() == Method::HEAD;
        let turn = self.gate.begin(length);
        let shared = Arc::clone(&self.shared);
        let fault = if turn.ambiguous {
            Some(detail::AMBIGUOUS)
        } else if has_one_host(&request) {
            None
        } else {
            Some(detail::HOST)
        };
        let call = Call { peer: self.peer, fault, body: shared.limits.body };
        async move {
            let mut answer = shared.handler.handle(request, call).await;
            if bodiless {
                withhold_body(&mut answer);
            }
            // hyper closes behind a body that was not read to its end, and a client that is not told loses its next
            // request.
            let ends = turn.ambiguous || length == UNFRAMED || turn.is_cut_short();
            let last = ends || shared.drain.is_on();
            if last && version == Version::Http1 {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            // A body that is still being made keeps the connection busy: it is not idle until all is sent.
            answer.body_mut().keep(turn);
            Ok(answer)
        }
    }
}

/// RFC 9110 section 9.3.2: an answer to HEAD says how long its body would be, and has none. hyper sees to that in
/// HTTP/1.1 only.
fn withhold_body(answer: &mut Answer) {
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *answer.body_mut() = Contents::default();
}

/// RFC 9112 section 3.2: two hosts, or none, would let a proxy and usher see different requests.
fn has_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    request.version() != http::Version::HTTP_11
        || (hosts.next().is_some() && hosts.next().is_none())
}

async fn serve_http1<S, H>(wire: Wire<S>, link: Link<H>, watchdog: Watchdog)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let head_bytes = usize::from(link.shared.limits.head_bytes);
    let (gate, shared) = (Arc::clone(&link.gate), Arc::clone(&link.shared));
    let service = service_fn(move |request| link.take(request, Version::Http1));
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .max_header_size(head_bytes)
            .max_buf_size(head_bytes.max(8 * 1024))
            .serve_connection(TokioIo::new(wire), service)
    );
    let step = |order, cx: &mut Context<'_>| {
        if order == Order::Finish {
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx).map(drop)
    };
    // An idle connection is not closed as soon as usher drains: a request may be on its way to us.
    drive(step, Order::GoOn, &gate, &shared.drain, watchdog).await;
}

async fn serve_http2<S, H>(wire: Wire<S>, link: Link<H>, watchdog: Watchdog)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let (gate, shared) = (Arc::clone(&link.gate), Arc::clone(&link.shared));
    let mut streams = Streams::default();
    let service = service_fn(move |request| link.take(request, Version::Http2));
    let mut connection = pin!(
        http2::Builder::new(streams.inbox())
            .timer(TokioTimer::new())
            .max_concurrent_streams(shared.limits.streams)
            .max_header_list_size(u32::from(shared.limits.head_bytes))
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(wire), service)
    );
    let step = |order, cx: &mut Context<'_>| {
        if order == Order::Finish {
            connection.as_mut().graceful_shutdown();
        }
        let ended = connection.as_mut().poll(cx).map(drop);
        streams.poll(cx);
        ended
    };
    // GOAWAY tells the client which streams still count (RFC 9113 section 6.8), so it can go out at once.
    drive(step, Order::Finish, &gate, &shared.drain, watchdog).await;
}

/// What a connection is told when it is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    GoOn,
    /// End once what is under way is done.
    Finish,
}

/// Polls a connection by `step` until it has ended or its watchdog is at the end of its patience.
async fn drive(
    mut step: impl FnMut(Order, &mut Context<'_>) -> Poll<()>,
    on_drain: Order,
    gate: &Gate,
    drain: &Drain,
    mut watchdog: Watchdog,
) {
    let mut begun = pin!(drain.begun());
    let (mut registered, mut told, mut finishing) = (false, false, false);
    poll_fn(|cx| {
        if !registered {
            // Once is enough, since a task keeps its waker; later polls would take the signal's lock.
            registered = true;
            let _ = begun.as_mut().poll(cx);
        }
        let draining = drain.is_on();
        let mut order = Order::GoOn;
        if draining && !told {
            told = true;
            order = on_drain;
        }
        loop {
            if step(order, cx).is_ready() {
                return Poll::Ready(());
            }
            match watchdog.poll(cx, gate, draining) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Verdict::Finish) if !finishing => {
                    finishing = true;
                    order = Order::Finish;
                    watchdog.finish_within(FAREWELL);
                }
                Poll::Ready(Verdict::Finish | Verdict::Drop) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// How long an idle connection may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);
