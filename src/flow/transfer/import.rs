//! A file into the registry: whole or not at all (contract 4, `import`).
use super::{
    Complaint, ImportFailure, Imported, KEPT, Options, Phase, Progress, Source,
    fields::{Found, Shape},
    parser::Parser,
    row,
};
use crate::{
    flow::registry::{Order, Registrar},
    ports::registry::{Clash, ImportError, ImportId, Row, Verified},
};
use bytes::Bytes;
use std::{io, pin::pin, time::Duration};

/// So many rows are laid aside at a time: transactions short enough for those who sign in meanwhile.
const STAGED_AT_ONCE: usize = 1_000;
/// So many rows are moved at a time, for the same reason.
const SETTLED_AT_ONCE: usize = 500;
/// So many bytes are taken apart at a time, however many come, which bounds the rows in memory.
const READ_AT_ONCE: usize = 64 * 1024;
/// A comparison that somebody's first sight overtakes is made again so many times.
const COMPARISONS: usize = 20;
/// While a source says nothing, the store is told so often that this import is not dead.
const BEAT: Duration = Duration::from_secs(5);
/// An import that nobody waits for any more is cleared away for so long; whoever comes next does the rest.
const CLEARING: Duration = Duration::from_secs(3);

/// Takes the file that `source` gives. All of it holds once this returns, or, with an error or `options.dry_run`, nothing.
///
/// Memory does not grow with the file. `order.why` is the file's name.
///
/// # Errors
/// Each variant of [`ImportFailure`].
pub async fn import(
    registrar: &Registrar,
    mut source: impl Source,
    options: Options,
    order: &Order,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Imported, ImportFailure> {
    registrar.settle().await.map_err(ImportFailure::Store)?;
    let id = registrar.store().begin_import(&registrar.author(order)).await?;
    let mut import = Import::new(registrar, id, options, order, progress);
    let outcome = import.take(&mut source).await;
    match &outcome {
        Ok(_) if !options.dry_run => import.settle(&mut source).await?,
        Err(ImportFailure::Source(_)) => {
            let _ = tokio::time::timeout(CLEARING, import.give_up()).await;
        }
        Ok(_) | Err(_) => import.give_up().await,
    }
    outcome
}

/// One import that has begun.
struct Import<'a> {
    registrar: &'a Registrar,
    id: ImportId,
    options: Options,
    order: &'a Order,
    progress: &'a mut (dyn FnMut(Progress) + Send),
    read_bytes: u64,
    rows: u64,
    bad: Complaints,
    clashes: Complaints,
    warnings: Complaints,
    /// Rows that were read and not laid aside yet.
    batch: Vec<(u64, Row)>,
}

impl<'a> Import<'a> {
    fn new(
        registrar: &'a Registrar,
        id: ImportId,
        options: Options,
        order: &'a Order,
        progress: &'a mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        Self {
            registrar,
            id,
            options,
            order,
            progress,
            read_bytes: 0,
            rows: 0,
            bad: Complaints::default(),
            clashes: Complaints::default(),
            warnings: Complaints::default(),
            batch: Vec::new(),
        }
    }

    /// From the first byte to the moment it holds.
    async fn take(&mut self, source: &mut impl Source) -> Result<Imported, ImportFailure> {
        self.read(source).await?;
        if self.bad.total > 0 {
            let Complaints { kept, total } = std::mem::take(&mut self.bad);
            return Err(ImportFailure::BadLines { complaints: kept, total });
        }
        for _ in 0..COMPARISONS {
            match self.hold(source).await {
                Err(Stop::Overtaken) => {}
                Err(Stop::Failed(failure)) => return Err(failure),
                Ok(verified) => {
                    let Complaints { kept, total } = std::mem::take(&mut self.warnings);
                    return Ok(Imported {
                        rows: self.rows,
                        new: verified.fresh,
                        known: verified.known,
                        warnings: kept,
                        warnings_total: total,
                    });
                }
            }
        }
        Err(ImportFailure::Overtaken)
    }

    /// Reads the file to its end, and lays it aside as long as it may come to hold.
    async fn read(&mut self, source: &mut impl Source) -> Result<(), ImportFailure> {
        let shape = if self.options.unclaimed { Shape::Unclaimed } else { Shape::Registry };
        let mut parser = Parser::new(self.options.format, shape);
        let mut found = Vec::new();
        while let Some(bytes) = self.next(source).await? {
            for part in bytes.chunks(READ_AT_ONCE) {
                parser.feed(part, &mut found);
                self.read_bytes += part.len() as u64;
                self.sort(&mut found, shape);
                self.stage(STAGED_AT_ONCE).await?;
                self.tell(Phase::Reading);
            }
        }
        parser.end(&mut found);
        self.sort(&mut found, shape);
        self.stage(1).await
    }

    /// The next bytes. However long they take, the import stays alive.
    async fn next(&mut self, source: &mut impl Source) -> Result<Option<Bytes>, ImportFailure> {
        let mut next = pin!(source.next());
        loop {
            match tokio::time::timeout(BEAT, &mut next).await {
                Ok(bytes) => return bytes.map_err(ImportFailure::Source),
                Err(_) => self.registrar.store().stage(self.id, &[]).await?,
            }
        }
    }

    /// Tells good rows from bad ones.
    fn sort(&mut self, found: &mut Vec<Found>, shape: Shape) {
        for Found { line, what } in found.drain(..) {
            self.rows += 1;
            match what.and_then(|fields| row::of(&fields, shape)) {
                Err(mistake) => self.bad.add(line, &mistake),
                Ok(row) => {
                    if row.identity.is_outside_alphabet() {
                        self.warnings.add(line, &OUTSIDE);
                    }
                    if !self.options.allow_links
                        && let Some(clash) = row::clash(&row, self.registrar.key())
                    {
                        self.clashes.add(line, &clash);
                    }
                    self.batch.push((line, row));
                }
            }
        }
        if self.bad.total > 0 {
            self.batch.clear();
        }
    }

    /// Lays rows aside while there are `least` of them.
    async fn stage(&mut self, least: usize) -> Result<(), ImportFailure> {
        let mut staged = 0;
        while let Some(rest) = self.batch.get(staged..)
            && rest.len() >= least
        {
            let (rows, _) = rest.split_at_checked(STAGED_AT_ONCE).unwrap_or((rest, &[]));
            self.registrar.store().stage(self.id, rows).await?;
            staged += rows.len();
        }
        self.batch.drain(..staged);
        Ok(())
    }

    /// Compares all of it, and makes it hold unless something stands against it.
    async fn hold(&mut self, source: &mut impl Source) -> Result<Verified, Stop> {
        self.tell(Phase::Comparing);
        let store = self.registrar.store();
        let verified = tokio::select! {
            verified = store.verify(self.id, self.options.allow_links) => verified?,
            () = source.stopped() => {
                let why = io::Error::new(io::ErrorKind::Interrupted, "nobody wants it any more");
                return Err(Stop::Failed(ImportFailure::Source(why)));
            }
        };
        for Clash { line, why } in &verified.clashes {
            self.clashes.add(*line, why);
        }
        if self.clashes.total > 0 {
            let Complaints { mut kept, total } = std::mem::take(&mut self.clashes);
            kept.sort_by_key(|complaint| complaint.line);
            kept.truncate(KEPT);
            return Err(Stop::Failed(ImportFailure::Clashes { complaints: kept, total }));
        }
        if !self.options.dry_run {
            store.apply(self.id, &self.registrar.author(self.order)).await?;
        }
        Ok(verified)
    }

    /// Moves what holds to where everything else is. Nobody has to wait for it.
    async fn settle(&mut self, source: &mut impl Source) -> Result<(), ImportFailure> {
        let mut moved = 0;
        let mut stopped = pin!(source.stopped());
        loop {
            self.tell(Phase::Settling { moved });
            let now = self.registrar.author(self.order).at;
            let step = self.registrar.store().settle(now, SETTLED_AT_ONCE);
            let is_more = tokio::select! {
                // It holds: a store that fails now has lost nothing, and whoever comes next goes on.
                is_more = step => is_more.unwrap_or(false),
                () = &mut stopped => false,
            };
            if !is_more {
                return Ok(());
            }
            moved += SETTLED_AT_ONCE as u64;
        }
    }

    /// Clears away what was laid aside. A store that fails here has nothing of it in sight either.
    async fn give_up(&mut self) {
        self.tell(Phase::Clearing);
        if self.registrar.store().abandon(self.id).await.is_ok() {
            let _ = self.registrar.settle().await;
        }
    }

    fn tell(&mut self, phase: Phase) {
        (self.progress)(Progress { read_bytes: self.read_bytes, rows: self.rows, phase });
    }
}

/// What a row gets told whose identity came from elsewhere.
const OUTSIDE: &str =
    "identity has characters beyond A-Z a-z 0-9 . _ ~ - and must be escaped in every URL";

/// Why a comparison came to nothing.
enum Stop {
    Overtaken,
    Failed(ImportFailure),
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Overtaken => Self::Overtaken,
            ImportError::Busy
            | ImportError::Gone
            | ImportError::NotDurable
            | ImportError::Store(_) => Self::Failed(error.into()),
        }
    }
}

impl From<ImportError> for ImportFailure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Busy => Self::Busy,
            ImportError::Overtaken => Self::Overtaken,
            ImportError::Gone => Self::Gone,
            ImportError::NotDurable => Self::NotDurable,
            ImportError::Store(cause) => Self::Store(cause),
        }
    }
}

/// The first [`KEPT`] of a kind, and how many there were.
#[derive(Default)]
struct Complaints {
    kept: Vec<Complaint>,
    total: u64,
}

impl Complaints {
    fn add(&mut self, line: u64, what: &(impl ToString + ?Sized)) {
        self.total += 1;
        if self.kept.len() < KEPT {
            self.kept.push(Complaint { line, what: what.to_string() });
        }
    }
}
