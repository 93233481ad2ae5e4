//! `twilio`: the services, each with the account, key and region that sign its tokens.
use super::{reader::Reader, settings::ServiceSettings, tree::Cursor};
use crate::domain::{
    grant::Service,
    secret::Secret,
    sid::{AccountSid, ApiKeySid},
};

/// Twilio's API key secrets have 32 characters; what is much shorter is a slip or a placeholder.
const SHORTEST_SECRET: usize = 16;

/// Reads all services, in the order written: the first is the default.
pub(super) fn services(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<Vec<ServiceSettings>> {
    let common = Common {
        account: Reader::parsed(at, "accountSid"),
        api_key: at.get("apiKey").and_then(|key| api_key(&key, reader)),
        region: at.get("region").and_then(|region| region.text()).unwrap_or("us1"),
    };
    let services = at.get("services")?;
    for key in ["accountSid", "apiKey"] {
        let lacking = services.entries().any(|(_, service)| !service.has(key));
        if lacking && !at.has(key) {
            at.lacks(&mut reader.report, key, format!("missing ({})", sample(key)));
        }
    }
    services.entries().map(|(entry, at)| service(&entry.key, &at, &common, reader)).collect()
}

fn sample(key: &str) -> &'static str {
    match key {
        "accountSid" => "write accountSid: AC and 32 hexadecimal digits, from Twilio's console",
        _ => "write apiKey: {sid: SK…, secret: {file: PATH}}",
    }
}

/// What holds for a service that does not say otherwise.
struct Common<'t> {
    account: Option<AccountSid>,
    api_key: Option<(ApiKeySid, Secret)>,
    region: &'t str,
}

fn service(
    name: &str,
    at: &Cursor<'_>,
    common: &Common<'_>,
    reader: &mut Reader<'_>,
) -> Option<ServiceSettings> {
    let own_key = at.get("apiKey").map(|key| api_key(&key, reader));
    let account = if at.has("accountSid") {
        Reader::parsed(at, "accountSid")
    } else {
        common.account.clone()
    };
    let region = at.get("region").and_then(|region| region.text()).unwrap_or(common.region);
    let elsewhere = account != common.account || region != common.region;
    if own_key.is_none() && elsewhere {
        reader.report.warn(format!(
            "{} has no apiKey of its own: Twilio's API keys belong to one account and one region",
            at.path()
        ));
    }
    let push = at.get("pushCredentials");
    let push_credentials = push.iter().flat_map(Cursor::entries);
    let push_credentials = push_credentials
        .filter_map(|(entry, at)| Some((entry.key.clone(), at.text()?.parse().ok()?)));
    let (api_key, secret) = own_key.unwrap_or_else(|| common.api_key.clone())?;
    let service = Service {
        name: name.into(),
        sid: Reader::parsed(at, "sid")?,
        account: account?,
        api_key,
        region: region.into(),
        push_credentials: push_credentials.collect(),
    };
    Some(ServiceSettings { service, secret })
}

/// `{sid, secret}`, or what holds `SK…:secret`.
fn api_key(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<(ApiKeySid, Secret)> {
    if at.has("sid") {
        let named = at.get("secret");
        let secret = named.as_ref().and_then(|named| reader.secret(named));
        let secret = usable(named.as_ref()?, secret?, reader)?;
        return Some((Reader::parsed(at, "sid")?, secret));
    }
    let both = reader.secret(at)?;
    let parts = both.reveal_text().and_then(|text| text.trim().split_once(':'));
    let parts = parts.and_then(|(sid, secret)| Some((sid.parse().ok()?, Secret::text(secret))));
    let Some((sid, secret)) = parts else {
        at.unfit(&mut reader.report, "this does not hold an API key (put SK…:secret into it, or write {sid: SK…, secret: {file: PATH}})");
        return None;
    };
    Some((sid, usable(at, secret, reader)?))
}

fn usable(at: &Cursor<'_>, secret: Secret, reader: &mut Reader<'_>) -> Option<Secret> {
    let what = match secret.reveal_text() {
        None => "this secret is no text",
        Some(text) if text.contains(char::is_whitespace) => {
            "this secret has spaces or line breaks in it (put the secret alone into the file)"
        }
        Some(text) if text.parse::<ApiKeySid>().is_ok() => {
            "this is the API key's SID and not its secret, which Twilio shows once, when the key is made"
        }
        Some(text) if text.len() < SHORTEST_SECRET => {
            "this is too short for an API key's secret, which has 32 characters"
        }
        Some(_) => return Some(secret),
    };
    at.unfit(&mut reader.report, what);
    None
}
