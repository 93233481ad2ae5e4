//! What a line of either format says, before anybody knows whether it makes sense.

/// No field is longer. A subject id may be made of several claims (contract 4), each of 1 024 bytes.
pub(super) const LONGEST: usize = 4096;

/// The columns of a file, or the members of its objects (contract 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Namespace,
    /// `subject`, or `match` where it is not known yet.
    Name,
    Identity,
    State,
}

/// Which columns a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `namespace,subject,identity[,state]`
    Registry,
    /// `namespace,match,identity`
    Unclaimed,
}

impl Shape {
    /// All of them, those first that must be there.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Registry => &[Column::Namespace, Column::Name, Column::Identity, Column::State],
            Self::Unclaimed => &[Column::Namespace, Column::Name, Column::Identity],
        }
    }

    /// What a column is called.
    pub(super) fn label(self, column: Column) -> &'static str {
        match (column, self) {
            (Column::Namespace, Self::Registry | Self::Unclaimed) => "namespace",
            (Column::Name, Self::Registry) => "subject",
            (Column::Name, Self::Unclaimed) => "match",
            (Column::Identity, Self::Registry | Self::Unclaimed) => "identity",
            (Column::State, Self::Registry | Self::Unclaimed) => "state",
        }
    }

    /// The columns in words, for whoever has to write them.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Registry => "namespace,subject,identity and, if need be, state",
            Self::Unclaimed => "namespace,match,identity",
        }
    }
}

/// One row as text. What is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) state: String,
}

/// What is wrong with a line. It says where, and repeats nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    /// There is no line at all.
    #[error("the file is empty: its first line names the columns {0}")]
    NoHeader(&'static str),
    #[error("column {at} of the first line is none of {wanted}: the first line names the columns")]
    UnknownColumn {
        /// From 1.
        at: usize,
        wanted: &'static str,
    },
    #[error("the column {0} is named twice")]
    RepeatedColumn(&'static str),
    #[error("the column {0} is missing")]
    MissingColumn(&'static str),
    #[error("{found} fields, and the first line names {wanted} columns")]
    WrongCount { found: usize, wanted: usize },
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("{0} is longer than 4096 bytes; is a quote missing?")]
    TooLong(&'static str),
    #[error(
        "{0} has a quote where none may be: a field with quotes is put in quotes, and each of its own is doubled"
    )]
    StrayQuote(&'static str),
    #[error(
        "not one JSON object with the members {0}, each of them once and a string (column {1})"
    )]
    NotAnObject(&'static str, usize),
    #[error("longer than 64 KiB")]
    LongLine,
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error(
        "namespace and subject are empty, as they may be only where state is retired or unlinked"
    )]
    Nobody,
    #[error("state is unlinked, and then namespace and subject are empty")]
    NotUnlinked,
    #[error("{0} is too long or holds a control character")]
    InvalidName(&'static str),
    #[error("namespace begins with urn:usher:, which is usher's own")]
    ReservedNamespace,
    #[error("identity is longer than 256 characters or holds a control character")]
    InvalidIdentity,
    #[error("identity has a form that means something else to Twilio or in a URL")]
    ForbiddenIdentity,
    #[error("identity begins with g-, as only guests' do")]
    GuestIdentity,
    #[error("state is none of active, retired, unlinked and unclaimed")]
    UnknownState,
}

/// One row that was found in a file, and the line it begins on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) what: Result<Fields, Mistake>,
}
