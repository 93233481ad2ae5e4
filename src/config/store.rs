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
            StoreUrl::Postgres(server) => StorePlace::Postgres(server),
        },
    };
    let place = with_secrets(place, at, reader)?;
    let max_connections = match text("maxConnections") {
        None => 4,
        Some(text) => text.parse().ok()?,
    };
    Some(StoreSettings {
        place,
        stale_for: reader::duration(at, "staleFor", Duration::from_hours(1))?,
        migrate: text("migrate") != Some("never"),
        max_connections,
    })
}

/// Adds what is not in the URL.
fn with_secrets(
    place: StorePlace,
    at: Option<&Cursor<'_>>,
    reader: &mut Reader<'_>,
) -> Option<StorePlace> {
    let get = |key| at.and_then(|at| at.get(key));
    let password = get("password").map(|at| reader.secret(&at));
    let authority = get("certificateAuthority").map(|at| reader.pem(&at, "CERTIFICATE-----"));
    let unused = match &place {
        StorePlace::Sqlite(_) | StorePlace::Memory => [password.is_some(), authority.is_some()],
        StorePlace::Postgres(server) => [false, authority.is_some() && !server.tls],
    };
    for (key, _) in ["password", "certificateAuthority"].iter().zip(unused).filter(|(_, is)| *is) {
        reader.report.warn(format!("store.{key} is not used: store.url needs none"));
    }
    // What is written must be there, also where it is not used.
    let password = password.map_or(Some(None), |read| read.map(Some))?;
    let authority = authority.map_or(Some(None), |read| read.map(Some))?;
    Some(match place {
        StorePlace::Postgres(mut server) => {
            server.password = password;
            server.certificate_authority = authority.map(|pem| pem.reveal().into());
            StorePlace::Postgres(server)
        }
        StorePlace::Sqlite(_) | StorePlace::Memory => place,
    })
}
