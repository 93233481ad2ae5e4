//! Files of identities over HTTP: what is asked for, and what came of it (contract 4, `import`, `export`).
use crate::{
    flow::transfer::{Complaint, Exporter, Format, ImportFailure, Imported, Options},
    inbound::{
        answer::{self, Answer},
        contents::{BrokenOff, Contents, Pieces},
        desk::{Desk, json},
        detail, form,
        problem::{Code, Problem},
        request::RequestId,
    },
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use std::{
    io::{self, ErrorKind},
    time::Duration,
};

const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// `GET /api/identity-export`.
///
/// # Errors
/// `bad_request`, `store_unavailable`.
pub(super) async fn export(
    desk: &Desk<'_>,
    query: &str,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let [format] = form::only_these(query, ["format"])?;
    let format = format_of(format.as_deref())?;
    let mut exporter = Exporter::new(desk.registrar.clone(), format);
    // Asked for before the answer begins, so that a store which is down shows in its status.
    let first = exporter.next().await.map_err(|error| desk.store_failed(&error))?;
    let kind = match format {
        Format::Csv => CSV,
        Format::JsonLines => JSON_LINES,
    };
    let mut answer = answer::text(StatusCode::OK, kind, Bytes::new(), recycled);
    if let Some(first) = first {
        let rest = Rows { first: Some(first), exporter, id: desk.id.clone() };
        *answer.body_mut() = Contents::streamed(rest);
    }
    Ok(answer)
}

struct Rows {
    first: Option<Bytes>,
    exporter: Exporter,
    id: RequestId,
}

impl Pieces for Rows {
    async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.exporter.next().await.map_err(|error| {
            let problem = Problem::new(Code::StoreUnavailable, detail::STORE_UNAVAILABLE);
            problem.log(&self.id, Some(&error));
            BrokenOff(error.into())
        })
    }
}

/// What an import's query asks for. A flag without a value is one that is set.
///
/// # Errors
/// `bad_request`; a slip in `dryRun` must not become an import.
pub(super) fn options(query: &str) -> Result<Options, Problem> {
    let known = ["format", "allowLinks", "unclaimed", "dryRun"];
    let [format, allow_links, unclaimed, dry_run] = form::only_these(query, known)?;
    let flag = |text: Option<&str>| match text {
        None | Some("false") => Ok(false),
        Some("" | "true") => Ok(true),
        Some(_) => Err(Problem::new(Code::BadRequest, detail::FLAG)),
    };
    Ok(Options {
        format: format_of(format.as_deref())?,
        allow_links: flag(allow_links.as_deref())?,
        unclaimed: flag(unclaimed.as_deref())?,
        dry_run: flag(dry_run.as_deref())?,
    })
}

fn format_of(text: Option<&str>) -> Result<Format, Problem> {
    match text {
        None | Some("csv") => Ok(Format::Csv),
        Some("jsonl") => Ok(Format::JsonLines),
        Some(_) => Err(Problem::new(Code::BadRequest, detail::FORMAT)),
    }
}

/// What came of an import, as JSON: `warnings` are the first thousand of `warnings_total`.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    rows: u64,
    new: u64,
    known: u64,
    repeated: u64,
    dry_run: bool,
    warnings: Vec<Line<'a>>,
    warnings_total: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    line: u64,
    message: &'a str,
}

impl<'a> Told<'a> {
    /// Of an import that holds or, with `dry_run`, could.
    pub fn of(imported: &'a Imported, dry_run: bool) -> Self {
        Self {
            rows: imported.rows,
            new: imported.new,
            known: imported.known,
            repeated: imported.repeated,
            dry_run,
            warnings: lines(&imported.warnings),
            warnings_total: imported.warnings_total,
        }
    }
}

/// What is said of the lines of a file of which nothing holds, as JSON: the first thousand of `lines_total`.
#[derive(Debug, Serialize)]
pub struct Complained<'a> {
    lines: Vec<Line<'a>>,
    lines_total: u64,
}

impl<'a> Complained<'a> {
    /// Of `total` lines, of which these are told.
    pub fn of(complaints: &'a [Complaint], total: u64) -> Self {
        Self { lines: lines(complaints), lines_total: total }
    }
}

fn lines(complaints: &[Complaint]) -> Vec<Line<'_>> {
    complaints.iter().map(|told| Line { line: told.line, message: &told.what }).collect()
}

/// Answers an import that holds, or could.
///
/// # Errors
/// `internal_error`.
pub(super) fn told(imported: &Imported, options: Options) -> Result<Answer, Problem> {
    json(&Told::of(imported, options.dry_run), HeaderMap::new())
}

/// What is said of an import of which nothing holds.
pub(super) fn refused(desk: &Desk<'_>, failure: &ImportFailure) -> Problem {
    match failure {
        ImportFailure::BadLines { complaints, total } => {
            with_lines(Problem::new(Code::BadRequest, detail::BAD_LINES), complaints, *total)
        }
        ImportFailure::Clashes { complaints, total } => {
            let problem = Problem::new(Code::IdentityConflict, detail::CLASHING_LINES);
            with_lines(problem, complaints, *total)
        }
        ImportFailure::Store(error) => desk.store_failed(error),
        ImportFailure::Busy => Problem::new(Code::RateLimited, detail::IMPORT_BUSY)
            .retry_after(Duration::from_secs(30)),
        ImportFailure::Overtaken | ImportFailure::Gone => {
            let problem = Problem::new(Code::StoreUnavailable, detail::IMPORT_AGAIN);
            problem.log(desk.id, Some(failure));
            problem
        }
        ImportFailure::NotDurable => {
            Problem::new(Code::OperationNotAllowed, detail::NEEDS_DURABLE_STORE)
        }
        ImportFailure::Source(error) => broken(error),
    }
}

fn with_lines(problem: Problem, complaints: &[Complaint], total: u64) -> Problem {
    let Complained { lines, lines_total } = Complained::of(complaints, total);
    let lines = serde_json::to_value(lines).unwrap_or_default();
    problem.with_member("lines", lines).with_member("lines_total", lines_total.into())
}

/// The caller's fault, by what [`super::imports`] says it is.
fn broken(error: &io::Error) -> Problem {
    let kind = error.kind();
    if kind == ErrorKind::FileTooLarge {
        Problem::new(Code::BodyTooLarge, detail::FILE_TOO_LARGE)
    } else if kind == ErrorKind::TimedOut {
        Problem::new(Code::RequestTimeout, detail::FILE_SLOW)
    } else {
        Problem::new(Code::BadRequest, detail::BODY_BROKEN)
    }
}
