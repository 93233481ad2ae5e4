//! `usher console`: where the console is, and how to come in.
use super::{exit::Exit, load, terminal};
use crate::{
    config::settings::{ListenAddress, Settings},
    outbound::admin_token,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// Prints the URL, whose fragment no browser sends anywhere.
pub(super) fn run(file: Option<PathBuf>) -> Exit {
    let settings = match load::settings(file, &[], &[]) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    match url(&settings) {
        Ok(url) => terminal::print(&url),
        Err(why) => {
            terminal::complain(&format!("usher console: {why}"));
            Exit::Unavailable
        }
    }
}

/// The console's URL, or why there is none to print.
fn url(settings: &Settings) -> Result<String, String> {
    let listener = &settings.listen.admin;
    let place = match &listener.address {
        ListenAddress::Tcp(address) if address.port() == 0 => {
            return Err("listen.admin has port 0: usher serve logs the one it was given".into());
        }
        ListenAddress::Tcp(address) => nearby(*address),
        ListenAddress::Unix(path) => {
            return Err(format!(
                "the admin listener is the socket {}, which no browser opens: give listen.admin a loopback address",
                path.display()
            ));
        }
    };
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let home = format!("{scheme}://{place}/");
    if !settings.admin.tokens.is_empty() {
        return Err(format!(
            "admin.tokens has digests alone: open {home}#token=… with a token of yours in the place of …"
        ));
    }
    let token = token(&settings.state_directory)?;
    Ok(format!("{home}#token={token}"))
}

fn token(state_directory: &Path) -> Result<String, String> {
    let path = admin_token::path(state_directory);
    let path = path.display();
    let said = |error: &io::Error| {
        format!("{path}: {error} (is this the user, and the STATE_DIRECTORY, of usher serve?)")
    };
    match admin_token::read(state_directory) {
        Ok(Some(token)) => match token.reveal_text() {
            Some(text) => Ok(text.to_owned()),
            None => {
                Err(format!("{path}: this is no text: remove it, and usher serve makes another"))
            }
        },
        Ok(None) => Err(format!(
            "{path} is not there yet: usher serve makes it (with the same STATE_DIRECTORY)"
        )),
        Err(error) => Err(said(&error)),
    }
}

/// Where a browser on this host finds an address that means all of them.
fn nearby(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}
