//! What is read and written inside a transaction. No statement holds a value: they are all bound.
use crate::{
    domain::{
        identity::{ChatIdentity, KeyFingerprint},
        subject::Subject,
        time::Timestamp,
    },
    ports::store::{BindError, Binding, PinError, StoreError},
};
use rusqlite::{Connection, OptionalExtension, named_params};

/// SQLite's own failure, which ends the transaction; what the rows say is the value.
pub(super) type Said<T> = rusqlite::Result<T>;

/// What is bound to `subject`.
pub(super) fn find(
    connection: &Connection,
    subject: &Subject,
) -> Said<Result<Option<Binding>, StoreError>> {
    let mut statement = connection.prepare_cached(
        "SELECT identities.identity, identities.state \
         FROM subjects LEFT JOIN identities USING (identity) \
         WHERE subjects.namespace = :namespace AND subjects.subject = :subject",
    )?;
    let row = statement
        .query_row(
            named_params! {
                ":namespace": subject.namespace().as_str(),
                ":subject": subject.id().as_str(),
            },
            |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?)),
        )
        .optional()?;
    Ok(row.map(|(identity, state)| binding(identity.as_deref(), state.as_deref())).transpose())
}

fn binding(identity: Option<&str>, state: Option<&str>) -> Result<Binding, StoreError> {
    match state {
        Some("active") => identity
            .and_then(|text| text.parse().ok())
            .map(Binding::Active)
            .ok_or(StoreError::Damaged),
        Some("retired") => Ok(Binding::Retired),
        Some(_) | None => Err(StoreError::Damaged),
    }
}

/// One binding that shall be made.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) subject: Subject,
    pub(super) identity: ChatIdentity,
    pub(super) at: Timestamp,
    /// Of the key this process derives with; `None` before it was pinned.
    pub(super) fingerprint: Option<KeyFingerprint>,
}

/// Binds unless the subject has an identity already.
pub(super) fn bind(connection: &Connection, wanted: &Wanted) -> Said<Result<Binding, BindError>> {
    match find(connection, &wanted.subject)? {
        Ok(Some(held)) => return Ok(Ok(held)),
        Ok(None) => {}
        Err(damaged) => return Ok(Err(BindError::Store(damaged))),
    }
    if let Some(mine) = wanted.fingerprint
        && let Err(other) = pin(connection, mine)?
    {
        // Another process made this store another key's; what this one derives would not be that key's answer.
        return Ok(Err(BindError::Store(StoreError::Unavailable(Box::new(other)))));
    }
    let taken = connection
        .prepare_cached("SELECT 1 FROM identities WHERE identity = ?1")?
        .exists([wanted.identity.as_str()])?;
    if taken {
        return Ok(Err(BindError::Taken));
    }
    insert(connection, wanted)?;
    Ok(Ok(Binding::Active(wanted.identity.clone())))
}

fn insert(connection: &Connection, wanted: &Wanted) -> Said<()> {
    let at = i64::try_from(wanted.at.0).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
             VALUES (:identity, 'active', :at, 'derived', :fingerprint)",
        )?
        .execute(named_params! {
            ":identity": wanted.identity.as_str(),
            ":at": at,
            ":fingerprint": wanted.fingerprint.map(|fingerprint| fingerprint.to_string()),
        })?;
    connection
        .prepare_cached(
            "INSERT INTO subjects (namespace, subject, identity, linked_at) \
             VALUES (:namespace, :subject, :identity, :at)",
        )?
        .execute(named_params! {
            ":namespace": wanted.subject.namespace().as_str(),
            ":subject": wanted.subject.id().as_str(),
            ":identity": wanted.identity.as_str(),
            ":at": at,
        })?;
    Ok(())
}

/// Keeps the first fingerprint seen, and another only while nothing is derived with the first.
pub(super) fn pin(
    connection: &Connection,
    fingerprint: KeyFingerprint,
) -> Said<Result<(), PinError>> {
    let held = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'fingerprint'")?
        .query_row([], |row| row.get::<_, String>(0))
        .optional()?;
    let held = match held.as_deref().map(str::parse::<KeyFingerprint>) {
        Some(Ok(held)) if held == fingerprint => return Ok(Ok(())),
        Some(Err(_)) => return Ok(Err(PinError::Store(StoreError::Damaged))),
        Some(Ok(held)) => Some(held),
        None => None,
    };
    let derived = connection
        .prepare_cached("SELECT 1 FROM identities WHERE origin = 'derived' LIMIT 1")?
        .exists([])?;
    if let Some(held) = held
        && derived
    {
        return Ok(Err(PinError::OtherKey(held)));
    }
    let mut keep = connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")?;
    keep.execute(["fingerprint", &fingerprint.to_string()])?;
    keep.execute(["format", "opaque"])?;
    Ok(Ok(()))
}
