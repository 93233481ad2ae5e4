//! A file into the registry: whole or not at all (contract 4, `import`).
use super::{
    ImportFailure, Imported, KEPT, Options, Phase, Progress, Source,
    complaints::Complaints,
    fields::{Found, Shape},
    ownership,
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
    if !options.allow_links {
        ownership::has_the_key(registrar, order).await?;
    }
    let id = registrar.store().begin_import(&registrar.author(order)).await?;
    let mut import = Import::new(registrar, id, options, order, progress);
    let outcome = import.take(&mut source).await;
    match &outcome {
        Ok(taken) if taken.new > 0 && !options.dry_run => import.settle(&mut source).await?,
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
                        // A row that the file has twice is laid aside once.
                        repeated: self.rows.saturating_sub(verified.fresh + verified.known),
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
                    let derived_with = ownership::derived_with(&row, self.registrar.key());
                    let row = Row { derived_with, ..row };
                    if row.identity.is_outside_alphabet() {
                        self.warnings.add(line, &OUTSIDE);
                    }
                    if !self.options.allow_links
                        && let Some(clash) = ownership::clash(&row)
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
            biased;
            () = source.stopped() => {
                let why = io::Error::new(io::ErrorKind::Interrupted, "nobody wants it any more");
                return Err(Stop::Failed(ImportFailure::Source(why)));
            }
            verified = store.verify(self.id, self.options.allow_links) => verified?,
        };
        for Clash { line, why } in &verified.clashes {
            self.clashes.add(*line, why);
        }
        // Those that the store found and did not name.
        let named = verified.clashes.len() as u64;
        self.clashes.total += verified.clashes_total.saturating_sub(named);
        if self.clashes.total > 0 {
            let Complaints { mut kept, total } = std::mem::take(&mut self.clashes);
            kept.sort_by_key(|complaint| complaint.line);
            kept.truncate(KEPT);
            return Err(Stop::Failed(ImportFailure::Clashes { complaints: kept, total }));
        }
        // Where all of it is known there is nothing to tell those who remember bindings.
        if !self.options.dry_run && verified.fresh > 0 {
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
                biased;
                () = &mut stopped => false,
                // It holds: a store that fails now has lost nothing, and whoever comes next goes on.
                is_more = step => is_more.unwrap_or(false),
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

#[cfg(test)]
mod tests {
    use super::{
        super::scene::{CSV, Fake, Pieces, Stage, key, lines, subject, take},
        *,
    };
    use crate::{domain::subject::Subject, ports::store::StoreError};
    use std::{fmt::Write as _, sync::Arc};

    const HEADER: &str = "namespace,subject,identity\r\n";

    fn file(rows: &[&str]) -> Pieces {
        Pieces::of(&format!("{HEADER}{}\r\n", rows.join("\r\n")), 7)
    }

    /// A store with one user, to whom nothing may have happened.
    fn with_zoe() -> Arc<Fake> {
        let store = Arc::new(Fake::default());
        store.state().held.push(subject("zoe", "zoes"));
        store
    }

    fn untouched(store: &Fake) -> bool {
        let state = store.state();
        state.held == [subject("zoe", "zoes")]
            && state.aside.is_empty()
            && state.stage == Stage::Idle
    }

    #[tokio::test]
    async fn a_file_is_taken_whole_and_a_second_time_changes_nothing() {
        let store = with_zoe();
        let rows = ["corp,alice,alice@example.com", "corp,bob,b", "corp,zoe,zoes"];
        let (taken, _) = take(&store, file(&rows), CSV).await;
        let taken = taken.unwrap();
        assert_eq!((taken.rows, taken.new, taken.known, taken.repeated), (3, 2, 1, 0));
        assert_eq!((lines(&taken.warnings), taken.warnings_total), (vec![2], 1));
        assert!(!taken.warnings[0].what.contains("alice"));
        let held =
            [subject("zoe", "zoes"), subject("alice", "alice@example.com"), subject("bob", "b")];
        assert!(held.iter().all(|row| store.state().held.contains(row)));
        assert_eq!(store.state().stage, Stage::Idle);

        let again = take(&store, file(&rows), CSV).await.0.unwrap();
        assert_eq!((again.rows, again.new, again.known), (3, 0, 3));
    }

    #[tokio::test]
    async fn every_bad_line_is_told_and_none_of_the_others_is_compared() {
        let store = with_zoe();
        let rows = ["corp,a,b", "corp,a", "corp,zoe,other", ",x,y", "corp,b,g-1", "corp,c,c"];
        let failure = take(&store, file(&rows), CSV).await.0.unwrap_err();
        let ImportFailure::BadLines { complaints, total } = failure else { panic!("{failure:?}") };
        assert_eq!((lines(&complaints), total), (vec![3, 5, 6], 3));
        assert!(untouched(&store));
        assert!(!store.state().calls.contains(&"verify"));
    }

    #[tokio::test]
    async fn a_thousand_bad_lines_are_kept_and_all_are_counted() {
        let store = with_zoe();
        let rows = vec!["x"; 2_345];
        let failure = take(&store, file(&rows), CSV).await.0.unwrap_err();
        let ImportFailure::BadLines { complaints, total } = failure else { panic!("{failure:?}") };
        assert_eq!((complaints.len(), complaints[999].line, total), (1_000, 1_001, 2_345));
    }

    #[tokio::test]
    async fn p12_clashes_of_the_registry_and_of_derived_form_are_told_by_line() {
        let store = with_zoe();
        let id = |name: &str| Subject::new("corp".parse().unwrap(), name.parse().unwrap());
        let (alices, bobs) = (key().derive(&id("alice")), key().derive(&id("bob")));
        let rows = [
            format!("corp,alice,{}", alices.as_str()),
            "corp,zoe,other".to_owned(),
            format!("corp,carol,{}", bobs.as_str()),
            "corp,dave,zoes".to_owned(),
        ];
        let rows: Vec<_> = rows.iter().map(String::as_str).collect();
        let failure = take(&store, file(&rows), CSV).await.0.unwrap_err();
        let ImportFailure::Clashes { complaints, total } = failure else { panic!("{failure:?}") };
        assert_eq!((lines(&complaints), total), (vec![3, 4, 5], 3));
        assert!(untouched(&store));

        let links = Options { allow_links: true, ..CSV };
        let rows: Vec<_> = rows.into_iter().filter(|row| !row.contains("zoe,")).collect();
        assert_eq!(take(&store, file(&rows), links).await.0.unwrap().new, 3);
    }

    #[tokio::test]
    async fn p12_with_another_key_than_the_stores_nobodys_own_identity_can_be_known() {
        let store = with_zoe();
        store.state().other_key = Some("00000001".parse().unwrap());
        let failure = take(&store, file(&["corp,alice,a"]), CSV).await.0.unwrap_err();
        assert!(matches!(failure, ImportFailure::Store(StoreError::Rekeyed(_))), "{failure:?}");
        assert!(untouched(&store));
        let links = Options { allow_links: true, ..CSV };
        assert_eq!(take(&store, file(&["corp,alice,a"]), links).await.0.unwrap().new, 1);
    }

    #[tokio::test]
    async fn a_dry_run_counts_and_leaves_nothing() {
        let store = with_zoe();
        let dry = Options { dry_run: true, ..CSV };
        let rows = ["corp,alice,a", "corp,zoe,zoes"];
        let (counted, told) = take(&store, file(&rows), dry).await;
        assert_eq!(counted.map(|taken| (taken.new, taken.known)).unwrap(), (1, 1));
        assert!(untouched(&store));
        assert_eq!(told.last().map(|now| now.phase), Some(Phase::Clearing));
    }

    #[tokio::test]
    async fn who_is_overtaken_compares_again_and_gives_up_in_the_end() {
        let store = with_zoe();
        store.state().overtakes = 2;
        assert_eq!(take(&store, file(&["corp,a,a"]), CSV).await.0.unwrap().new, 1);
        let calls = ["begin", "stage", "verify", "apply", "verify", "apply", "verify", "apply"];
        assert_eq!(store.state().calls, calls);

        let store = with_zoe();
        store.state().overtakes = usize::MAX;
        let failure = take(&store, file(&["corp,a,a"]), CSV).await.0.unwrap_err();
        assert!(matches!(failure, ImportFailure::Overtaken));
        assert!(untouched(&store));
    }

    #[tokio::test]
    async fn of_many_clashes_the_first_thousand_are_named_and_all_are_counted() {
        let store = with_zoe();
        let mut text = HEADER.to_owned();
        for n in 0..1_200 {
            let _ = write!(text, "corp,s{n},one\r\n");
        }
        let failure = take(&store, Pieces::of(&text, 1 << 20), CSV).await.0.unwrap_err();
        let ImportFailure::Clashes { complaints, total } = failure else { panic!("{failure}") };
        // All but the first have its identity.
        assert_eq!((complaints.len(), complaints[0].line, total), (1_000, 3, 1_199));
        assert!(untouched(&store));
    }

    #[tokio::test]
    async fn whatever_fails_leaves_nothing_behind() {
        let store = with_zoe();
        let broken = Pieces { breaks: true, ..file(&["corp,alice,a", "corp,bob,b"]) };
        let failure = take(&store, broken, CSV).await.0.unwrap_err();
        assert!(matches!(failure, ImportFailure::Source(_)));
        assert!(untouched(&store));
        for call in ["stage", "verify", "apply"] {
            let store = with_zoe();
            store.state().fails = Some((call, || ImportError::Store(StoreError::Damaged)));
            let failure = take(&store, file(&["corp,alice,a"]), CSV).await.0.unwrap_err();
            assert!(matches!(failure, ImportFailure::Store(_)), "{call}");
            assert!(untouched(&store), "{call}");
        }
        store.state().fails = Some(("begin", || ImportError::Busy));
        let failure = take(&store, file(&["corp,a,a"]), CSV).await.0.unwrap_err();
        assert!(matches!(failure, ImportFailure::Busy));
    }

    #[tokio::test]
    async fn a_long_file_is_laid_aside_a_thousand_rows_at_a_time_and_progress_is_told() {
        let store = Arc::new(Fake::default());
        let mut text = HEADER.to_owned();
        for n in 0..12_345 {
            let _ = write!(text, "corp,s{n},i{n}\r\n");
        }
        let links = Options { allow_links: true, ..CSV };
        store.state().fails = Some(("verify", || ImportError::Gone));
        let (failed, told) = take(&store, Pieces::of(&text, 1 << 20), links).await;
        assert!(matches!(failed, Err(ImportFailure::Gone)));
        assert_eq!(store.state().most, 1_000);
        let read = told.iter().rev().find(|now| now.phase == Phase::Comparing).unwrap();
        assert_eq!((read.read_bytes, read.rows), (text.len() as u64, 12_345));
        assert!(told.iter().filter(|now| now.phase == Phase::Reading).count() > 2);
    }

    /// One that says nothing for an hour.
    struct Slow(bool);

    impl Source for Slow {
        async fn next(&mut self) -> io::Result<Option<Bytes>> {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Ok((!std::mem::replace(&mut self.0, true))
                .then(|| Bytes::from_static(b"namespace,subject,identity\ncorp,a,a")))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_slow_does_not_end_the_import() {
        let store = Arc::new(Fake::default());
        assert_eq!(take(&store, Slow(false), CSV).await.0.unwrap().new, 1);
        assert_eq!(store.state().calls[..2], ["begin", "stage"]);
    }

    /// One that nobody wants any more from a moment on: the first time that is asked, or the second.
    struct Stopped(Pieces, usize);

    impl Source for Stopped {
        async fn next(&mut self) -> io::Result<Option<Bytes>> {
            self.0.next().await
        }

        async fn stopped(&mut self) {
            if self.1 > 0 {
                self.1 -= 1;
                std::future::pending::<()>().await;
            }
        }
    }

    #[tokio::test]
    async fn what_nobody_wants_any_more_is_given_up_unless_it_holds() {
        let store = with_zoe();
        let failure = take(&store, Stopped(file(&["corp,a,a"]), 0), CSV).await.0.unwrap_err();
        assert!(matches!(failure, ImportFailure::Source(_)));
        assert!(untouched(&store));

        let taken = take(&store, Stopped(file(&["corp,a,a"]), 1), CSV).await.0.unwrap();
        assert_eq!((taken.new, store.state().stage), (1, Stage::Applied), "left to be settled");
    }
}
