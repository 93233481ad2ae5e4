//! The options of `usher identity …`, as clap reads them (contract 4).
use crate::{
    cli::{exit::Exit, terminal::complain},
    domain::{
        identity::ChatIdentity,
        subject::{Namespace, Subject},
    },
    ports::registry::State,
};
use std::{num::NonZero, path::PathBuf};

/// `usher identity …`.
#[derive(Debug, clap::Args)]
pub(crate) struct IdentityOptions {
    /// For people, or for scripts
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub(super) output: Output,
    #[command(subcommand)]
    pub(super) command: IdentityCommand,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum IdentityCommand {
    /// List identities, by their bytes
    #[command(after_help = "Example:\n  usher identity list --namespace corp --state retired\n  \
        usher identity list --limit 100000 --output json | jq -r .identity\n\n\
        As JSON it is one object a line. Where --limit cuts it, standard error says how to go on.")]
    List(ListOptions),
    /// Show all about an identity, with its history
    #[command(after_help = "Example:\n  usher identity show u-d3j7cm4uyqsr24th2j5j4osoqi\n  \
        usher identity show --namespace corp --subject alice --output json\n\n\
        Exit 1 where the registry does not know it.")]
    Show(Chosen),
    /// Give a subject an identity that exists, beside those who have it
    #[command(after_help = "Example:\n  usher identity link u-d3j7cm4uyqsr24th2j5j4osoqi \
        --namespace new-idp --subject 8271 --reason \"moved to the new provider\"\n\n\
        Exit 4 where the subject has another identity: unlink it first.")]
    Link(LinkOptions),
    /// Make a subject as if it had never been seen
    #[command(after_help = "Example:\n  usher identity unlink --namespace corp --subject alice \
        --reason \"linked by mistake\"\n\n\
        Its identity stays reserved. The next sign-in gives what the format makes, if that is the subject's own.")]
    Unlink(UnlinkOptions),
    /// End an identity for good
    #[command(
        after_help = "Example:\n  usher identity retire u-d3j7cm4uyqsr24th2j5j4osoqi --reason \"left\"\n  \
        usher identity retire --namespace corp --subject alice --reason \"left\"\n\n\
        Nobody ever gets it again. By subject it also takes one that was never seen."
    )]
    Retire(RetireOptions),
    /// Forget whose an identity was; it stays reserved
    #[command(
        after_help = "Example:\n  usher identity erase u-d3j7cm4uyqsr24th2j5j4osoqi --reason \"request 4711\"\n\n\
        Subjects and history become keyed digests. It cannot be undone."
    )]
    Erase(EraseOptions),
    /// Bring identities along that exist in Twilio already: the whole file, or nothing of it
    #[command(after_help = "Example:\n  usher identity import users.csv --dry-run\n  \
        usher identity import waiting.jsonl --unclaimed\n\n\
        Columns: namespace,subject,identity[,state]; with --unclaimed namespace,match,identity. A second run \
        changes nothing. Exit 2 for bad lines, 4 for lines against each other or the registry.")]
    Import(ImportOptions),
    /// Write the registry to standard output, as a backup
    #[command(after_help = "Example:\n  usher identity export > identities.csv\n\n\
        With import --allow-links it goes into an empty store again.")]
    Export(ExportOptions),
    /// Make identities with another key or in other formats from now on
    #[command(
        after_help = "Example:\n  usher identity rekey --new-key new-identity-key --dry-run\n  \
        usher identity rekey --new-key new-identity-key --keep\n\n\
        Every identity that changes is a new active user to Twilio, which bills it. Without --new-key it accepts \
        the formats that are configured."
    )]
    Rekey(RekeyOptions),
    /// Print a new identity key
    #[command(after_help = "Example:\n  (umask 077; usher identity new-key > identity-key)\n\n\
        The key goes to standard output, its fingerprint to standard error. Keep it for ever.")]
    NewKey,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListOptions {
    /// Only those with a subject, or waiting for one, in this namespace
    #[arg(long, value_name = "NS")]
    pub(super) namespace: Option<Namespace>,
    /// Only those in this state
    #[arg(long, value_enum)]
    pub(super) state: Option<Listed>,
    /// How many
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) limit: NonZero<usize>,
    /// Only those behind this one
    #[arg(long, value_name = "IDENTITY", value_parser = ChatIdentity::imported)]
    pub(super) after: Option<ChatIdentity>,
}

/// The states one may ask for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Listed {
    Active,
    Retired,
    Unclaimed,
}

impl From<Listed> for State {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Active => Self::Active,
            Listed::Retired => Self::Retired,
            Listed::Unclaimed => Self::Unclaimed,
        }
    }
}

/// An identity, or the subject that has it.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// The identity
    #[arg(
        value_parser = ChatIdentity::imported,
        required_unless_present = "namespace",
        conflicts_with_all = ["namespace", "subject"]
    )]
    pub(super) identity: Option<ChatIdentity>,
    /// Where the subject is known
    #[arg(long, value_name = "NS", requires = "subject")]
    namespace: Option<Namespace>,
    /// The subject that has it
    #[arg(long, value_name = "SUB", requires = "namespace")]
    subject: Option<String>,
}

/// What was chosen.
#[derive(Debug)]
pub(super) enum Choice {
    Identity(ChatIdentity),
    Subject(Named),
}

impl Chosen {
    /// Which of the two it is.
    pub(super) fn choice(self) -> Result<Choice, Exit> {
        match (self.identity, self.namespace, self.subject) {
            (Some(identity), _, _) => Ok(Choice::Identity(identity)),
            (None, Some(namespace), Some(subject)) => {
                Ok(Choice::Subject(Named { namespace, subject }))
            }
            // The parser has seen to it.
            (None, _, _) => Err(Exit::Usage),
        }
    }
}

/// A subject.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Where the subject is known
    #[arg(long, value_name = "NS")]
    namespace: Namespace,
    /// The subject
    #[arg(long, value_name = "SUB")]
    subject: String,
}

impl Named {
    /// Both as one. An id that is made of several claims may be longer than one of a single claim.
    pub(super) fn subject(self) -> Result<Subject, Exit> {
        Subject::stored(self.namespace.as_str(), &self.subject).map_err(|_| {
            complain(
                "usher: --subject is empty, longer than 2100 bytes, or holds a control character",
            );
            Exit::Usage
        })
    }

    /// The same for what will be in the registry: not where only guests and API tokens are (contract 4).
    pub(super) fn own_subject(self) -> Result<Subject, Exit> {
        let subject = self.subject()?;
        if subject.namespace().is_reserved() {
            complain("usher: --namespace begins with urn:usher:, which is usher's own");
            return Err(Exit::Usage);
        }
        Ok(subject)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct LinkOptions {
    /// The identity
    #[arg(value_parser = ChatIdentity::imported)]
    pub(super) identity: ChatIdentity,
    #[command(flatten)]
    pub(super) named: Named,
    #[command(flatten)]
    pub(super) why: Why,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnlinkOptions {
    #[command(flatten)]
    pub(super) named: Named,
    #[command(flatten)]
    pub(super) why: Why,
}

#[derive(Debug, clap::Args)]
pub(super) struct RetireOptions {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    #[command(flatten)]
    pub(super) why: Why,
}

#[derive(Debug, clap::Args)]
pub(super) struct EraseOptions {
    /// The identity
    #[arg(value_parser = ChatIdentity::imported)]
    pub(super) identity: ChatIdentity,
    #[command(flatten)]
    pub(super) why: Why,
}

#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Why, for the history; 1 to 1000 characters
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) reason: Box<str>,
}

/// A reason is one line that can be shown.
fn reason(text: &str) -> Result<Box<str>, &'static str> {
    if text.trim().is_empty() || text.chars().nth(1000).is_some() {
        return Err("a reason has 1 to 1000 characters");
    }
    if text.contains(char::is_control) {
        return Err("a reason holds no control characters");
    }
    Ok(text.into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FileFormat {
    Csv,
    Jsonl,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportOptions {
    /// The file; - is standard input
    pub(super) file: PathBuf,
    /// What it is written in; otherwise its name's ending tells, or its first character
    #[arg(long, value_enum)]
    pub(super) format: Option<FileFormat>,
    /// Let subjects share an identity, and have one of derived form that is not their own
    #[arg(long)]
    pub(super) allow_links: bool,
    /// Its columns are namespace,match,identity, for users whose subjects are not known yet
    #[arg(long)]
    pub(super) unclaimed: bool,
    /// Only compare it with the registry
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExportOptions {
    /// What to write
    #[arg(long, value_enum)]
    pub(super) format: Option<FileFormat>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RekeyOptions {
    /// The file with the key from now on
    #[arg(long, value_name = "FILE")]
    pub(super) new_key: Option<PathBuf>,
    /// Change nobody's identity; only subjects not yet seen use the new key
    #[arg(long)]
    pub(super) keep: bool,
    /// Only say how many would change
    #[arg(long)]
    pub(super) dry_run: bool,
}
