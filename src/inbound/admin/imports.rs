//! Imports under way. Each is a task of its own, so that one whose client goes away is given up in good order and the
//! next need not wait until the store takes it for dead.
use super::transfer::{options, refused, told};
use crate::{
    flow::{
        registry::{Order, Registrar},
        transfer::{self, ImportFailure, Imported, Options, Source},
    },
    inbound::{
        answer::Answer,
        body::Inflow,
        desk::Desk,
        detail,
        problem::{Code, Problem},
    },
};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::{
    io::{self, ErrorKind},
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{
        mpsc::{self, Receiver, Sender},
        oneshot,
    },
    task::JoinSet,
    time::timeout,
};

/// The most bytes of a file (contract 2, "Limits").
const MOST_BYTES: u64 = 1 << 30;
/// How long no byte of a file may come (contract 2, "Limits").
const SILENCE: Duration = Duration::from_secs(30);
/// Pieces of a body between the connection and the import; a piece is at most a read of the connection's.
const QUEUED: usize = 4;

/// Owns the imports; they end with it.
#[derive(Debug, Default)]
pub(super) struct Imports(Mutex<JoinSet<()>>);

impl Imports {
    /// `POST /api/identity-import`.
    ///
    /// # Errors
    /// Each that [`refused`] makes.
    pub(super) async fn take(
        &self,
        desk: &Desk<'_>,
        query: &str,
        body: impl Inflow,
        who: Box<str>,
    ) -> Result<Answer, Problem> {
        let options = options(query)?;
        if body.size_hint().lower() > MOST_BYTES {
            return Err(Problem::new(Code::BodyTooLarge, detail::FILE_TOO_LARGE));
        }
        let order = Order { who, why: "POST /api/identity-import".into() };
        let (to, from) = mpsc::channel(QUEUED);
        // Dropped with this request, whatever ends it.
        let (_wanted, unwanted) = oneshot::channel();
        let upload = Upload { from, unwanted: Some(unwanted) };
        let mut outcome = self.begin(desk.registrar.clone(), upload, options, order);
        let mut pumped = pin!(pump(body, &to));
        let outcome = tokio::select! {
            outcome = &mut outcome => outcome,
            () = &mut pumped => outcome.await,
        };
        match outcome {
            Ok(Ok(imported)) => told(&imported, options),
            Ok(Err(failure)) => Err(refused(desk, &failure)),
            Err(_) => {
                let problem = Problem::new(Code::InternalError, detail::INTERNAL);
                problem.log(desk.id, None);
                Err(problem)
            }
        }
    }

    fn begin(
        &self,
        registrar: Registrar,
        upload: Upload,
        options: Options,
        order: Order,
    ) -> oneshot::Receiver<Result<Imported, ImportFailure>> {
        let (done, outcome) = oneshot::channel();
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let mut progress = |_| {};
            let ended = transfer::import(&registrar, upload, options, &order, &mut progress).await;
            // Nobody listens where the client went away.
            let _ = done.send(ended);
        });
        outcome
    }
}

/// What a connection says of a file.
enum Piece {
    Bytes(Bytes),
    End,
    Broken(ErrorKind),
}

/// Hands a body on as it comes.
async fn pump(mut body: impl Inflow, to: &Sender<Piece>) {
    let mut left = MOST_BYTES;
    loop {
        let piece = match timeout(SILENCE, body.frame()).await {
            Err(_) => Piece::Broken(ErrorKind::TimedOut),
            Ok(None) => Piece::End,
            Ok(Some(Err(_))) => Piece::Broken(ErrorKind::UnexpectedEof),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                // Trailers.
                Err(_) => continue,
                Ok(bytes) => match left.checked_sub(bytes.len() as u64) {
                    None => Piece::Broken(ErrorKind::FileTooLarge),
                    Some(rest) => {
                        left = rest;
                        Piece::Bytes(bytes)
                    }
                },
            },
        };
        let is_last = !matches!(piece, Piece::Bytes(_));
        if to.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// A file that comes over a connection.
struct Upload {
    from: Receiver<Piece>,
    unwanted: Option<oneshot::Receiver<()>>,
}

impl Source for Upload {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.from.recv().await {
            Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => Ok(None),
            Some(Piece::Broken(kind)) => Err(kind.into()),
            // The request was dropped: what came is not the whole file.
            None => Err(ErrorKind::ConnectionAborted.into()),
        }
    }

    async fn stopped(&mut self) {
        if let Some(unwanted) = &mut self.unwanted {
            let _ = unwanted.await;
            self.unwanted = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;
    use tokio::time::Instant;

    /// A body of these pieces, and then silence.
    fn body(pieces: Vec<Bytes>, ends: bool) -> impl Inflow {
        let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let mut pieces = Box::new(pieces) as Box<dyn Iterator<Item = _> + Send>;
        StreamBody::new(stream::poll_fn(move |_| match pieces.next() {
            None if !ends => std::task::Poll::Pending,
            piece => std::task::Poll::Ready(piece),
        }))
    }

    async fn received(body: impl Inflow) -> (usize, Result<(), ErrorKind>) {
        let (to, from) = mpsc::channel(QUEUED);
        let mut upload = Upload { from, unwanted: None };
        let read = async {
            let mut bytes = 0;
            loop {
                match upload.next().await {
                    Ok(Some(piece)) => bytes += piece.len(),
                    Ok(None) => return (bytes, Ok(())),
                    Err(error) => return (bytes, Err(error.kind())),
                }
            }
        };
        tokio::join!(pump(body, &to), read).1
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_may_take_long_and_30_seconds_without_a_byte_end_it() {
        let piece = Bytes::from_static(b"abc");
        assert_eq!(received(body(vec![piece.clone(); 3], true)).await, (9, Ok(())));
        let began = Instant::now();
        let silent = received(body(vec![piece], false)).await;
        assert_eq!(silent, (3, Err(ErrorKind::TimedOut)));
        assert_eq!(began.elapsed(), SILENCE);
        assert_eq!((SILENCE.as_secs(), MOST_BYTES), (30, 1 << 30));
    }

    #[tokio::test]
    async fn a_file_of_1_gib_fits_and_no_byte_more() {
        // The pieces share their memory.
        let piece = Bytes::from(vec![0; 1 << 24]);
        let mut pieces = vec![piece; 64];
        assert_eq!(received(body(pieces.clone(), true)).await, (1 << 30, Ok(())));
        pieces.push(Bytes::from_static(b"x"));
        let (_, ended) = received(body(pieces, true)).await;
        assert_eq!(ended, Err(ErrorKind::FileTooLarge));
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_gives_no_whole_file() {
        let (to, from) = mpsc::channel(QUEUED);
        let (wanted, unwanted) = oneshot::channel();
        let mut upload = Upload { from, unwanted: Some(unwanted) };
        to.send(Piece::Bytes(Bytes::from_static(b"half"))).await.ok().unwrap();
        drop((to, wanted));
        assert!(upload.next().await.unwrap().is_some());
        assert_eq!(upload.next().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        upload.stopped().await;
    }
}
