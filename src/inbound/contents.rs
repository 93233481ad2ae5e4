//! The body of an answer: at hand, or made while it is sent.
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::{
    any::Any,
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// What an answer carries.
#[derive(Debug)]
pub enum Contents {
    /// All of it is there.
    Whole(Full<Bytes>),
    /// It comes in pieces.
    Streamed(Streamed),
}

/// A body that is asked for piece by piece. It is dropped with the connection, and what makes it with it.
pub struct Streamed {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>,
    kept: Option<Box<dyn Any + Send>>,
}

/// Makes the pieces of a body. Everything it waits for has a deadline.
pub trait Pieces: Send + 'static {
    /// The next piece, `None` after the last.
    ///
    /// # Errors
    /// There will be no more, and those that came are not all: the client sees the connection break off.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, BrokenOff>> + Send;
}

/// A body ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokenOff(#[source] pub Box<dyn Error + Send + Sync>);

impl Contents {
    /// A body that `pieces` makes.
    pub fn streamed(pieces: impl Pieces) -> Self {
        let pieces = stream::try_unfold(pieces, |mut pieces| async move {
            Ok(pieces.next().await?.map(|piece| (piece, pieces)))
        });
        Self::Streamed(Streamed { pieces: Box::pin(pieces), kept: None })
    }

    /// Keeps `what` until the body has been sent; not at all where it is at hand.
    pub(super) fn keep(&mut self, what: impl Any + Send) {
        match self {
            Self::Whole(_) => {}
            Self::Streamed(streamed) => streamed.kept = Some(Box::new(what)),
        }
    }
}

impl Default for Contents {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl From<Bytes> for Contents {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streamed(..)")
    }
}

impl Body for Contents {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
            Self::Streamed(streamed) => {
                let piece = streamed.pieces.as_mut().poll_next(cx);
                piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use std::sync::Arc;

    struct Few(Vec<&'static str>);

    impl Pieces for Few {
        async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
            match self.0.pop() {
                Some("") => Err(BrokenOff("gone".into())),
                piece => Ok(piece.map(Bytes::from)),
            }
        }
    }

    fn collected(pieces: &[&'static str]) -> Result<Bytes, BrokenOff> {
        let pieces = Few(pieces.iter().rev().copied().collect());
        let body = Contents::streamed(pieces).collect().now_or_never().unwrap();
        body.map(http_body_util::Collected::to_bytes)
    }

    #[test]
    fn the_pieces_come_in_order_and_a_failure_is_no_end() {
        assert_eq!(collected(&["a", "b", "c"]).unwrap(), "abc");
        assert!(collected(&["a", "", "c"]).is_err());
    }

    #[test]
    fn what_a_streamed_body_keeps_goes_with_it() {
        let kept = Arc::new(());
        let mut body = Contents::streamed(Few(vec!["a"]));
        body.keep(Arc::clone(&kept));
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&kept), 1);
        Contents::from(Bytes::from("a")).keep(Arc::clone(&kept));
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
