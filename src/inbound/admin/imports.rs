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
