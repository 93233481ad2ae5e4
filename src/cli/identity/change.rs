//! `usher identity link`, `unlink`, `retire` and `erase`.
use super::{
    Output,
    args::{Choice, EraseOptions, LinkOptions, RetireOptions, UnlinkOptions},
    desk::{Desk, not_changed},
    show::print_now,
    table::shown,
};
use crate::{
    cli::{exit::Exit, terminal::say},
    ports::registry::{ChangeError, Changed},
};

/// Gives a subject an identity that exists.
pub(super) async fn link(desk: &Desk<'_>, options: LinkOptions) -> Result<Exit, Exit> {
    let subject = options.named.own_subject()?;
    let order = Desk::order(options.why.reason);
    let changed = desk.registrar.link(options.identity, subject, &order).await;
    done(desk, "linked", changed).await
}

/// Makes a subject as if it had never been seen.
pub(super) async fn unlink(desk: &Desk<'_>, options: UnlinkOptions) -> Result<Exit, Exit> {
    let subject = options.named.subject()?;
    let order = Desk::order(options.why.reason);
    let changed = desk.registrar.unlink(subject, &order).await;
    done(desk, "unlinked", changed).await
}

/// Ends an identity.
pub(super) async fn retire(desk: &Desk<'_>, options: RetireOptions) -> Result<Exit, Exit> {
    let choice = options.chosen.choice()?;
    let order = Desk::order(options.why.reason);
    let changed = match choice {
        Choice::Identity(identity) => desk.registrar.retire(identity, &order).await,
        Choice::Subject(named) => desk.registrar.retire_subject(named.own_subject()?, &order).await,
    };
    done(desk, "retired", changed).await
}

/// Forgets whose an identity was.
pub(super) async fn erase(desk: &Desk<'_>, options: EraseOptions) -> Result<Exit, Exit> {
    let order = Desk::order(options.why.reason);
    let changed = desk.registrar.erase(options.identity, &order).await;
    done(desk, "erased", changed).await
}

/// Says what was done, and how it stands now.
async fn done(
    desk: &Desk<'_>,
    what: &str,
    changed: Result<Changed, ChangeError>,
) -> Result<Exit, Exit> {
    let changed = changed.map_err(|error| not_changed(&error))?;
    if desk.output == Output::Table {
        let identity = shown(changed.identity.as_str());
        let how = if changed.is_new { "" } else { " already; nothing was changed" };
        say(&format!("{what}{how}: {identity}\n"));
    }
    print_now(desk, &changed.identity).await
}
