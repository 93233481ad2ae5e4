//! `store`: where identities are kept.
use super::{
    address::{self, StoreUrl},
    reader::{self, Reader},
    settings::{StorePlace, StoreSettings},
    tree::Cursor,
};
use std::{path::Path, time::Duration};

/// Reads the section; without a URL the store lies in the state directory.
pub(super) fn store(
    at: Option<&Cursor<'_>>,
    state_directory: &Path,
    reader: &mut Reader<'_>,
) -> Option<StoreSettings> {
    let text = |key| at.and_then(|at| at.get(key)).and_then(|at| at.text());
    let place = match at.and_then(|at| at.get("url")) {
        None => StorePlace::Sqlite(state_directory.join("usher.db")),
        Some(url) => match address::store(url.text()?).ok()? {
            StoreUrl::Sqlite(path) => StorePlace::Sqlite(
                path.to_str().map_or_else(|| path.clone(), |path| reader.path(path)),
            ),
            StoreUrl::Memory => StorePlace::Memory,
            StoreUrl::Postgres => {
                url.wrong(&mut reader.report, "not in this version (write sqlite:PATH or memory:)");
                return None;
            }
        },
    };
    for key in ["password", "certificateAuthority"] {
        if let Some(at) = at.and_then(|at| at.get(key)) {
            reader.secret(&at);
        }
    }
    let max_connections = match text("maxConnections") {
        None => 4,
        Some(text) => text.parse().ok()?,
    };
    Some(StoreSettings {
        place,
        stale_for: reader::duration(at, "staleFor", Duration::from_secs(3600))?,
        migrate: text("migrate") != Some("never"),
        max_connections,
    })
}
