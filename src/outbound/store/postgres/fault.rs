//! What goes wrong with PostgreSQL, sorted by what helps. Nothing here repeats a word of the server's: its messages
//! hold subjects, as in "Key (namespace, subject)=(…) already exists".
use crate::{
    outbound::{http::TlsFault, store::sql::Fault},
    ports::store::StoreError,
};
use std::{error::Error, io, sync::Arc};
use tokio_postgres::error::SqlState;

/// No connection could be had. It may be had later.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// DNS does not know it, or does not answer.
    #[error("its host name was not found ({0})")]
    Name(io::ErrorKind),
    /// No address of the host, or no socket, took the connection.
    #[error("nobody takes connections there ({0})")]
    Socket(io::ErrorKind),
    /// It took the connection, and broke it off or said no word that PostgreSQL says.
    #[error("it does not answer as PostgreSQL does")]
    NotPostgres,
    /// It did not answer in time.
    #[error("it did not answer within 2 s")]
    Silent,
    /// It refuses to speak TLS.
    #[error(
        "it does not speak TLS (switch TLS on there, or write sslmode=disable if the way to it is safe)"
    )]
    NoTls,
    /// Its TLS cannot be trusted.
    #[error("tls failed: {0}")]
    Tls(TlsFault),
    /// Wrong user or password, or `pg_hba.conf` does not let this user in from here.
    #[error("it refuses the user or the password (check store.url's user and store.password)")]
    Credentials,
    /// It wants a way to sign in that usher does not know.
    #[error(
        "it wants a password of which there is none, or a way to sign in that usher does not know (set store.password)"
    )]
    Authentication,
    /// No such database.
    #[error("it has no such database (create it, or correct the one in store.url)")]
    NoDatabase,
    /// All its connections are taken.
    #[error(
        "all its connections are taken (lower store.maxConnections, or put a pooler before it)"
    )]
    Full,
    /// It is starting or stopping.
    #[error("it is starting up or shutting down")]
    Starting,
    /// It refused with another code.
    #[error("it refuses connections with SQLSTATE {0}")]
    Refused(Box<str>),
}

impl Unreachable {
    /// Whether it may be over without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Name(_)
            | Self::Socket(_)
            | Self::NotPostgres
            | Self::Silent
            | Self::Full
            | Self::Starting
            | Self::Refused(_) => true,
            Self::NoTls
            | Self::Tls(_)
            | Self::Credentials
            | Self::Authentication
            | Self::NoDatabase => false,
        }
    }

    /// Sorts what was said while signing in.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let cause = error.source();
            let broken = cause.is_some_and(<dyn Error>::is::<io::Error>) || error.is_closed();
            // What is neither of the network nor of the server is of the sign-in.
            return if broken || cause.is_none() {
                Self::NotPostgres
            } else {
                Self::Authentication
            };
        };
        if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
            .contains(code)
        {
            Self::Credentials
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            Self::NoDatabase
        } else if *code == SqlState::TOO_MANY_CONNECTIONS {
            Self::Full
        } else if STARTING.contains(code) {
            Self::Starting
        } else {
            Self::Refused(code.code().into())
        }
    }
}

/// The database can be reached, and cannot be used (exit 69, contract 1). Each sentence says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UnfitPostgres {
    /// Written by a later major version.
    #[error(
        "has a schema of version {found} and this usher knows {known}; run the usher that wrote it, or a newer one"
    )]
    Newer {
        /// The database's major version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another program's tables.
    #[error(
        "has tables of another program by the names usher uses; name a database or schema of usher's own in store.url"
    )]
    Foreign,
    /// `store.migrate: never`, and the schema is an earlier one or not there at all.
    #[error(
        "does not have this version's schema yet, and store.migrate is never; run `usher migrate`"
    )]
    Behind,
    /// It had one when this process started.
    #[error(
        "no longer has this version's schema: its tables are gone, or an older copy is in their place; usher does not make them anew while it runs: put them back, or start usher again"
    )]
    Gone,
    /// None was ever made there, and whoever asks only reads.
    #[error(
        "has no tables of usher's; check the database in store.url (the first usher serve makes them, or usher migrate, or usher identity import)"
    )]
    Missing,
    /// The role may not make tables, or not use those that are there.
    #[error(
        "does not let this user make or use tables; grant it CREATE and USAGE on its schema, or run `usher migrate` as the owner"
    )]
    Denied,
    /// Names of users in other scripts would not fit in.
    #[error("does not hold Unicode; make the database with ENCODING 'UTF8'")]
    NotUnicode,
}

/// Why a job came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(Unreachable),
    #[error("the database {0}")]
    Unfit(UnfitPostgres),
    /// Nobody knows whether the server did it.
    #[error("the connection to PostgreSQL broke")]
    Broken,
    /// Another transaction was first.
    #[error("too many others wrote the same at the same time")]
    Lost,
    /// What was prepared or found before does not hold any more: another server behind the same name, or a pooler.
    #[error("PostgreSQL has forgotten what was prepared (SQLSTATE {0})")]
    Forgotten(Box<str>),
    /// The server is somebody's replica now.
    #[error("PostgreSQL is read-only there: it is a standby")]
    Standby,
    #[error("PostgreSQL did not answer in time")]
    Slow,
    #[error("too many requests wait for the store")]
    Crowded,
    #[error("a row does not read back")]
    Damaged,
    #[error("PostgreSQL refused a statement with SQLSTATE {0}")]
    Refused(Box<str>),
    /// What the job itself says.
    #[error(transparent)]
    Said(Arc<dyn Error + Send + Sync>),
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same once more, on the same connection or another.
    Repeat,
    /// The same once more, on a new connection.
    Reconnect,
    /// Nothing that can be done now.
    Nothing,
}

impl Trouble {
    /// Sorts what a statement came to.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // Closed, an error of the socket, or bytes that are not PostgreSQL's. A value that cannot be sent or
            // read has a cause of its own type.
            let ours = error.source().is_some_and(|cause| !cause.is::<io::Error>());
            return if ours && !error.is_closed() { Self::Damaged } else { Self::Broken };
        };
        let any = |codes: &[SqlState]| codes.contains(code);
        if any(&[
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
            SqlState::LOCK_NOT_AVAILABLE,
        ]) {
            Self::Lost
        } else if is_ending(code) {
            Self::Broken
        } else if any(&[SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT])
            || any(&[SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN])
            || any(&[SqlState::FEATURE_NOT_SUPPORTED])
        {
            Self::Forgotten(code.code().into())
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            Self::Standby
        } else if *code == SqlState::QUERY_CANCELED {
            Self::Slow
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            Self::Unfit(UnfitPostgres::Denied)
        } else if any(&[SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED]) {
            Self::Damaged
        } else {
            Self::Refused(code.code().into())
        }
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Lost => Remedy::Repeat,
            Self::Broken | Self::Forgotten(_) | Self::Standby => Remedy::Reconnect,
            Self::Unreachable(_)
            | Self::Unfit(_)
            | Self::Slow
            | Self::Crowded
            | Self::Damaged
            | Self::Refused(_)
            | Self::Said(_) => Remedy::Nothing,
        }
    }

    /// As a job sees it.
    pub(super) fn as_fault(&self) -> Fault {
        match self {
            Self::Damaged => Fault::Damaged,
            Self::Lost => Fault::Lost,
            Self::Said(said) => Fault::Unavailable(Arc::clone(said)),
            Self::Unreachable(_)
            | Self::Unfit(_)
            | Self::Broken
            | Self::Forgotten(_)
            | Self::Standby
            | Self::Slow
            | Self::Crowded
            | Self::Refused(_) => Fault::Unavailable(Arc::new(self.clone())),
        }
    }

    /// As the store's caller sees it.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Damaged => StoreError::Damaged,
            Self::Unreachable(_)
            | Self::Unfit(_)
            | Self::Broken
            | Self::Lost
            | Self::Forgotten(_)
            | Self::Standby
            | Self::Slow
            | Self::Crowded
            | Self::Refused(_)
            | Self::Said(_) => StoreError::Unavailable(Box::new(self)),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged => Self::Damaged,
            Fault::Lost => Self::Lost,
            Fault::Unavailable(said) => Self::Said(said),
        }
    }
}

/// What a server says that is starting or stopping.
const STARTING: [SqlState; 3] =
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];

/// Whether the server ends this connection, or is about to.
fn is_ending(code: &SqlState) -> bool {
    // Class 08 is about connections, 25P0x and 57P0x about sessions that the server ends.
    code.code().starts_with("08")
        || STARTING.contains(code)
        || matches!(code.code(), "25P03" | "25P04" | "57P05")
}
