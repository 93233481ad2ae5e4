//! The command line, as clap reads it.
use super::identity::IdentityOptions;
use std::{net::SocketAddr, path::PathBuf};

/// `0.1.0 (commit 0123456789ab)`.
pub(super) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("USHER_COMMIT"), ")");

/// Proves a user and issues a short-lived Twilio Conversations access token, on localhost.
#[derive(Debug, clap::Parser)]
#[command(name = "usher", version = VERSION, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Try it, with nothing to configure:\n  usher dev")]
pub(super) struct Args {
    /// The configuration file; without it the environment configures
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Run the sidecar
    #[command(after_help = "Example:\n  usher serve --config usher.yaml\n  \
        usher serve --config usher.yaml --set listen.public=127.0.0.1:8080")]
    Serve(ServeOptions),
    /// Run everything embedded, with nothing to configure
    #[command(after_help = "Example:\n  usher dev\n  \
        usher dev --issuer https://login.example.com/realms/corp --audience chat")]
    Dev(DevOptions),
    /// Ask the configured health listener; exit 0 on 200, else 69
    #[command(after_help = "Example:\n  usher probe --config usher.yaml --path /readyz")]
    Probe(ProbeOptions),
    /// Report every mistake of the configuration at once
    #[command(after_help = "Example:\n  usher check --config usher.yaml --online")]
    Check(CheckOptions),
    /// Say step by step why a token gets which identity and grant, or which check stops it
    #[command(after_help = "Example:\n  usher explain --config usher.yaml < token.jwt\n\n\
        Issues and stores nothing, and prints no token. Exit 3 where the token would be refused.")]
    Explain,
    /// Print the console's URL with its token in the fragment
    #[command(after_help = "Example:\n  usher console --config usher.yaml\n\n\
        The token is the one that `usher serve` keeps in the state directory. Where admin.tokens is\n\
        configured there is none to print.")]
    Console,
    /// Look after the registry of identities, while the sidecar runs or not
    #[command(after_help = "Example:\n  usher identity list --config usher.yaml\n  \
        usher identity import users.csv --config usher.yaml --dry-run")]
    Identity(IdentityOptions),
    /// Bring the store to this version's schema
    #[command(after_help = "Example:\n  usher migrate --config usher.yaml\n\n\
        usher serve does it by itself, unless store.migrate is never.")]
    Migrate,
    /// Print the JSON Schema of the configuration
    #[command(after_help = "Example:\n  usher schema > usher.schema.json")]
    Schema,
    /// Print the `OpenAPI` 3.1 document of all HTTP surfaces
    #[command(after_help = "Example:\n  usher openapi > openapi.json")]
    Openapi,
    /// Print a shell's completion script
    #[command(after_help = "Example:\n  usher completions bash > /etc/bash_completion.d/usher")]
    Completions(CompletionsOptions),
    /// Print the manual page
    #[command(after_help = "Example:\n  usher man | man -l -")]
    Man,
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeOptions {
    /// Set a key over the file or the environment; never a secret
    #[arg(long, value_name = "PATH=VALUE")]
    pub(super) set: Vec<String>,
    /// Set a key where neither the file nor the environment does; never a secret
    #[arg(long, value_name = "PATH=VALUE")]
    pub(super) default: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DevOptions {
    /// Where to listen; with port 0 every port is a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4180")]
    pub(super) listen: SocketAddr,
    /// Accept this provider's tokens as well
    #[arg(long, value_name = "URL", requires = "audience")]
    pub(super) issuer: Option<String>,
    /// The audience that the provider's tokens must name
    #[arg(long, value_name = "AUD", requires = "issuer")]
    pub(super) audience: Option<String>,
    /// Sign with the real `TWILIO_*` variables, which are otherwise ignored
    #[arg(long, conflicts_with = "allow_remote")]
    pub(super) live: bool,
    /// Listen on an address that others can reach
    #[arg(long)]
    pub(super) allow_remote: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ProbeOptions {
    /// What to ask for
    #[arg(long, value_name = "PATH", default_value = "/livez")]
    pub(super) path: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckOptions {
    /// Ask each issuer for its keys and open the store as well
    #[arg(long)]
    pub(super) online: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsOptions {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}
