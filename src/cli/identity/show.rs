//! `usher identity show`.
use super::{
    Output,
    args::{Choice, Chosen},
    desk::{Desk, store_failed},
    record,
};
use crate::{
    cli::{
        exit::Exit,
        terminal::{complain, print},
    },
    domain::identity::ChatIdentity,
    ports::registry::Record,
};

/// Shows one identity.
pub(super) async fn run(desk: &Desk<'_>, chosen: Chosen) -> Result<Exit, Exit> {
    let found = match chosen.choice()? {
        Choice::Identity(identity) => desk.registrar.show(&identity).await,
        Choice::Subject(named) => desk.registrar.show_subject(&named.subject()?).await,
    };
    let Some(record) = found.map_err(|error| store_failed(&error))? else {
        complain("usher: the registry does not know it");
        return Ok(Exit::NotFound);
    };
    Ok(printed(desk, &record))
}

/// Prints what is known of `identity` now.
pub(super) async fn print_now(desk: &Desk<'_>, identity: &ChatIdentity) -> Result<Exit, Exit> {
    let found = desk.registrar.show(identity).await.map_err(|error| store_failed(&error))?;
    // What was just changed is there.
    Ok(found.map_or(Exit::Done, |record| printed(desk, &record)))
}

fn printed(desk: &Desk<'_>, record: &Record) -> Exit {
    match desk.output {
        Output::Table => print(record::page(record).trim_end()),
        Output::Json => print(&record::whole(record)),
    }
}
