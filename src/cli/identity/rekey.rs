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
        terminal::{complain, print},
    },
    domain::{
        identity::{IdentityKey, KeyFingerprint},
        secret::Secret,
    },
    ports::registry::{ChangeError, Conflict, Rekey, Rekeyed},
};
use serde_json::json;
use std::path::Path;
use zeroize::Zeroizing;

/// Makes identities with another key or in other formats from now on.
pub(super) async fn run(desk: &Desk<'_>, options: RekeyOptions) -> Result<Exit, Exit> {
    let RekeyOptions { new_key, keep, dry_run } = options;
    let new = new_key.as_deref().map(key).transpose()?;
    let held = held(desk).await?;
    let fingerprint = new.as_ref().map_or(held, IdentityKey::fingerprint);
    let is_named = new.is_some();
    let is_other = fingerprint != held;
    let why = if is_named {
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
    let said = match desk.output {
        Output::Json => {
            let fingerprint = fingerprint.to_string();
            json!({"changed": changed, "kept": kept, "dry_run": dry_run, "fingerprint": fingerprint})
                .to_string()
        }
        Output::Table if is_named && !is_other => format!(
            "nothing changes: identities are made with the identity key {fingerprint} already"
        ),
        Output::Table if dry_run => format!("would change: {changed}\nwould stay:   {kept}"),
        Output::Table => format!("changed: {changed}\nstayed:  {kept}"),
    };
    let exit = print(&said);
    if is_named && !dry_run && fingerprint != desk.registrar.key().fingerprint() {
        complain(&format!(
            "usher: configure the new identity key (fingerprint {fingerprint}) and restart every sidecar of this \
             store; until then they answer 503 to subjects they have not seen"
        ));
    }
    Ok(exit)
}

/// The fingerprint of the key that the store's identities are made with; of the configured one where it has none yet.
async fn held(desk: &Desk<'_>) -> Result<KeyFingerprint, Exit> {
    // Asks for nothing, and is refused where the key is another.
    let old = desk.registrar.key().clone();
    let configured = old.fingerprint();
    let question = Rekey { old, new: None, formats: Vec::new(), keep: true, dry_run: true };
    match desk.registrar.rekey(&question, &Desk::order("")).await {
        Ok(_) => Ok(configured),
        Err(ChangeError::Conflict(Conflict::OtherKey(held))) => Ok(held),
        Err(error) => Err(not_changed(&error)),
    }
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
