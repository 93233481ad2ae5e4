//! The socket as hyper sees it: it hands on at most one head at a time, and says in the connection's gate what
//! it sees pass.
use super::{
    gate::{Gate, UNFRAMED},
    head::{FrameScan, HeadScan, PREFACE},
};
use bytes::{Buf, BytesMut};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A socket with its head scanner.
#[derive(Debug)]
pub(super) struct Wire<S> {
    socket: S,
    gate: Arc<Gate>,
    scan: Scan,
    /// Read from the socket and not handed on yet.
    held: BytesMut,
    /// Bytes still dropped after our last, so that the client can read our answer before a reset.
    discard: usize,
    shut: bool,
}

#[derive(Debug)]
enum Scan {
    Http1(HeadScan),
    Http2(FrameScan),
}

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge or by ALPN.
    Http2,
}

/// How much of a refused body is read and dropped at the end.
const DISCARD: usize = 256 * 1024;

impl<S> Wire<S> {
    /// Wraps `socket`, for HTTP/1 until told otherwise.
    pub(super) fn new(socket: S, gate: Arc<Gate>) -> Self {
        let scan = Scan::Http1(HeadScan::default());
        Self { socket, gate, scan, held: BytesMut::new(), discard: DISCARD, shut: false }
    }

    /// Fixes the version; nothing may have been handed on before.
    pub(super) fn speak(&mut self, version: Version) {
        match version {
            Version::Http1 => {}
            Version::Http2 => {
                self.gate.multiplex();
                self.scan = Scan::Http2(FrameScan::default());
            }
        }
    }

    /// How many of `fresh` may be handed on now: at least one, if there is one.
    fn admit(scan: &mut Scan, gate: &Gate, fresh: &[u8]) -> usize {
        match scan {
            Scan::Http1(_) if gate.body() == UNFRAMED => fresh.len(),
            Scan::Http1(_) if gate.body() > 0 => {
                let body = usize::try_from(gate.body()).unwrap_or(usize::MAX).min(fresh.len());
                gate.body_passed(body);
                body
            }
            Scan::Http1(scan) => {
                let end = scan.read(fresh);
                gate.head_is_partial(end.is_none());
                end.map_or(fresh.len(), |end| {
                    if end.ambiguous {
                        gate.head_is_ambiguous();
                    }
                    end.at
                })
            }
            Scan::Http2(scan) => {
                scan.read(fresh);
                gate.head_is_partial(scan.is_partial());
                fresh.len()
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Waits for the first byte, which stays here.
    pub(super) async fn first_byte(&mut self) -> io::Result<()> {
        self.fill().await
    }

    /// Reads no more than it takes to tell HTTP/2 with prior knowledge from HTTP/1; nothing is handed on.
    pub(super) async fn sniff(&mut self) -> io::Result<Version> {
        loop {
            let seen = self.held.get(..PREFACE.len()).unwrap_or(&self.held);
            if !PREFACE.starts_with(seen) {
                return Ok(Version::Http1);
            }
            if seen.len() == PREFACE.len() {
                return Ok(Version::Http2);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.held.reserve(4096);
        match self.socket.read_buf(&mut self.held).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads and drops what the client still sends, up to a bound.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0; 1024];
        while self.discard > 0 {
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    self.discard = self.discard.saturating_sub(buf.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() {
            let room = buf.remaining().min(this.held.len());
            let fresh = this.held.get(..room).unwrap_or_default();
            let admitted = Self::admit(&mut this.scan, &this.gate, fresh);
            buf.put_slice(fresh.get(..admitted).unwrap_or_default());
            this.held.advance(admitted);
            if this.held.is_empty() {
                this.held = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let admitted = Self::admit(&mut this.scan, &this.gate, fresh);
        if let Some(surplus) = fresh.get(admitted..).filter(|surplus| !surplus.is_empty()) {
            this.held.extend_from_slice(surplus);
            buf.set_filled(before + admitted);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.gate.write_is_blocked(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, parts);
        this.gate.write_is_blocked(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.gate.write_is_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let shut = Pin::new(&mut this.socket).poll_shutdown(cx);
            this.gate.write_is_blocked(shut.is_pending());
            ready!(shut)?;
            this.shut = true;
            this.gate.close();
        }
        // Closing a socket with unread bytes resets it, and the reset can overtake the answer.
        if this.gate.body() > 0 || this.gate.has_partial_head() {
            ready!(this.poll_discard(cx));
        }
        Poll::Ready(Ok(()))
    }
}
