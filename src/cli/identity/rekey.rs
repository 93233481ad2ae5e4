//! `usher identity rekey`.
use super::{
    Output,
    args::RekeyOptions,
    desk::{Desk, not_changed},
};
use crate::{
    app,
    cli::{
        exit::Exit,
        terminal::{complain, print, say},
    },
    domain::{identity::IdentityKey, secret::Secret},
    ports::registry::{Rekey, Rekeyed},
};
use serde_json::json;
use std::path::Path;
use zeroize::Zeroizing;

/// Makes identities with another key or in other formats from now on.
pub(super) async fn run(desk: &Desk<'_>, options: RekeyOptions) -> Result<Exit, Exit> {
    let RekeyOptions { new_key, keep, dry_run } = options;
    let new = new_key.as_deref().map(key).transpose()?;
    let fingerprint = new.as_ref().unwrap_or(desk.registrar.key()).fingerprint();
    let is_new = new.is_some();
    let why = if is_new {
        format!("the identity key {fingerprint}{}", if keep { ", for new subjects" } else { "" })
    } else {
        "the configured formats".to_owned()
    };
    let rekey = Rekey {
        old: desk.registrar.key().clone(),
        new,
        formats: app::pin(desk.settings).formats,
        keep,
        dry_run,
    };
    let done = desk.registrar.rekey(&rekey, &Desk::order(why)).await;
    let Rekeyed { changed, kept } = done.map_err(|error| not_changed(&error))?;
    let exit = match desk.output {
        Output::Json => {
            let fingerprint = fingerprint.to_string();
            print(
                &json!({"changed": changed, "kept": kept, "dry_run": dry_run, "fingerprint": fingerprint})
                    .to_string(),
            )
        }
        Output::Table if dry_run => {
            say(&format!("would change: {changed}\nwould stay:   {kept}"));
            Exit::Done
        }
        Output::Table => {
            say(&format!("changed: {changed}\nstayed:  {kept}"));
            Exit::Done
        }
    };
    if is_new && !dry_run {
        complain(&format!(
            "usher: configure the new identity key (fingerprint {fingerprint}) and restart every sidecar of this \
             store; until then they answer 503 to subjects they have not seen"
        ));
    }
    Ok(exit)
}

/// The key in a file: its bytes less one trailing newline.
fn key(file: &Path) -> Result<IdentityKey, Exit> {
    let refuse = |exit, why: String| {
        complain(&format!("usher: {}: {why}", file.display()));
        exit
    };
    let bytes = std::fs::read(file).map_err(|e| refuse(Exit::Unavailable, e.to_string()))?;
    let bytes = Zeroizing::new(bytes);
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    IdentityKey::new(&Secret::new(key)).map_err(|short| {
        refuse(Exit::Wrong, format!("{short} (make one with `usher identity new-key`)"))
    })
}
