//! `usher identity import`.
use super::{
    Output,
    args::ImportOptions,
    desk::{Desk, store_failed},
    input::Input,
    progress::Bar,
    table::shown,
};
use crate::{
    cli::{
        exit::Exit,
        run::Signals,
        terminal::{complain, print},
    },
    flow::transfer::{Complaint, ImportFailure, Imported, Options, import},
    inbound::admin::{Complained, Told},
    telemetry::logs::chain,
};
use serde::Serialize;
use std::{io, path::Path, sync::Arc};

/// Takes a file whole, or nothing of it.
pub(super) async fn run(desk: &Desk<'_>, options: ImportOptions) -> Result<Exit, Exit> {
    let signals = Signals::notice()?;
    let name = name(&options.file);
    let input = Input::open(&options.file, signals).await.map_err(|error| unread(&name, &error))?;
    let wanted = Options {
        format: input.format(options.format, &options.file),
        allow_links: options.allow_links,
        unclaimed: options.unclaimed,
        dry_run: options.dry_run,
    };
    let is_drawn = desk.output == Output::Table;
    let mut bar = Bar::new(Arc::clone(&desk.clock), input.size, is_drawn);
    let order = Desk::order(name.chars().take(1000).collect::<String>());
    let done = {
        let mut draw = |progress| bar.draw(progress);
        import(&desk.registrar, input, wanted, &order, &mut draw).await
    };
    bar.clear();
    match done {
        Ok(imported) => Ok(taken(desk, &name, &imported, options.dry_run)),
        Err(failure) => Err(refused(desk, &name, &failure)),
    }
}

/// The file's name as it may be shown.
fn name(file: &Path) -> String {
    if file == Path::new("-") { "-".to_owned() } else { shown(&file.to_string_lossy()) }
}

fn taken(desk: &Desk<'_>, name: &str, imported: &Imported, dry_run: bool) -> Exit {
    say_lines(name, "warning: ", &imported.warnings, imported.warnings_total);
    match desk.output {
        // Texts and numbers can always be written.
        Output::Json => {
            print(&serde_json::to_string(&Told::of(imported, dry_run)).unwrap_or_default())
        }
        Output::Table => {
            let Imported { rows, new, known, repeated, .. } = imported;
            let done = if dry_run { "would be imported" } else { "imported" };
            let word = if *rows == 1 { "row" } else { "rows" };
            let repeated =
                if *repeated > 0 { format!(", {repeated} repeated") } else { String::new() };
            print(&format!(
                "{name}: {rows} {word} {done}: {new} new, {known} known already{repeated}"
            ))
        }
    }
}

/// What `--output json` prints of a file whose lines are at fault.
#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    #[serde(flatten)]
    complained: Complained<'a>,
}

fn refused(desk: &Desk<'_>, name: &str, failure: &ImportFailure) -> Exit {
    match failure {
        ImportFailure::BadLines { complaints, total } => {
            say_refused(desk, name, failure, (complaints, *total));
            Exit::Wrong
        }
        ImportFailure::Clashes { complaints, total } => {
            say_refused(desk, name, failure, (complaints, *total));
            Exit::Conflict
        }
        ImportFailure::Store(cause) => store_failed(cause),
        ImportFailure::Source(cause) => unread(name, cause),
        ImportFailure::Busy
        | ImportFailure::Overtaken
        | ImportFailure::NotDurable
        | ImportFailure::Gone => {
            complain(&format!("usher: {name}: {}", chain(failure)));
            Exit::Unavailable
        }
    }
}

/// Says which lines are at fault; `lines` are the first of so many.
fn say_refused(desk: &Desk<'_>, name: &str, failure: &ImportFailure, lines: (&[Complaint], u64)) {
    let (complaints, total) = lines;
    let error = format!("{}; nothing was imported", chain(failure));
    say_lines(name, "", complaints, total);
    complain(&format!("usher: {name}: {error}"));
    match desk.output {
        Output::Json => {
            let refused = Refused { error: &error, complained: Complained::of(complaints, total) };
            // Texts and numbers can always be written.
            print(&serde_json::to_string(&refused).unwrap_or_default());
        }
        Output::Table => {}
    }
}

fn unread(name: &str, error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::Interrupted {
        complain(&format!("usher: {name}: stopped; nothing was imported"));
        return Exit::Interrupted;
    }
    complain(&format!("usher: {name}: {error}"));
    Exit::Wrong
}

/// `FILE:LINE: what`, a line each.
fn say_lines(name: &str, kind: &str, complaints: &[Complaint], total: u64) {
    for Complaint { line, what } in complaints {
        complain(&format!("{name}:{line}: {kind}{what}"));
    }
    let rest = total.saturating_sub(complaints.len() as u64);
    if rest > 0 {
        complain(&format!("{name}: {kind}and {rest} more"));
    }
}
