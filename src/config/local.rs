//! `admin` and `egress`: who may come to the listeners that are not for everybody.
use super::{
    reader::{Reader, texts},
    settings::{AdminSettings, EgressSettings},
    tree::Cursor,
};
use crate::inbound::admin::{AdminToken, Role};

/// Reads `admin`.
pub(super) fn admin(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<AdminSettings> {
    let list = at.and_then(|at| at.get("tokens"));
    let entries: Vec<_> = list.iter().flat_map(Cursor::items).collect();
    let name_of = |at: &Cursor<'_>| at.get("name").and_then(|name| name.text().map(str::to_owned));
    let digest_of = |at: &Cursor<'_>| digest(at.get("sha256")?.text()?);
    for (number, at) in entries.iter().enumerate() {
        let same = |other: &Cursor<'_>| name_of(other).is_some() && name_of(other) == name_of(at);
        if let (Some(name), true) = (at.get("name"), entries.iter().take(number).any(same)) {
            // History says who by this name.
            name.wrong(&mut reader.report, "another token has this name (give each its own)");
        }
        let same =
            |other: &Cursor<'_>| digest_of(other).is_some() && digest_of(other) == digest_of(at);
        if let (Some(sum), true) = (at.get("sha256"), entries.iter().take(number).any(same)) {
            sum.wrong(&mut reader.report, "another name has this token (give each its own)");
        }
    }
    let tokens = entries.iter().map(token).collect::<Option<_>>()?;
    let hosts = at.and_then(|at| texts(at, "hosts")).unwrap_or_default();
    Some(AdminSettings { tokens, hosts })
}

fn token(at: &Cursor<'_>) -> Option<AdminToken> {
    let text = |key| at.get(key).and_then(|at| at.text());
    let role = match text("role")? {
        "operator" => Role::Operator,
        "reader" => Role::Reader,
        _ => return None,
    };
    Some(AdminToken { name: text("name")?.into(), sha256: digest(text("sha256")?)?, role })
}

/// 64 hexadecimal digits as bytes.
fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Reads `egress`.
pub(super) fn egress(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<EgressSettings> {
    let token = match at.get("token") {
        None => None,
        Some(at) => Some(reader.secret(&at)?),
    };
    let lookup = texts(at, "lookup").unwrap_or_default();
    let lookup = lookup.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?;
    Some(EgressSettings { lookup, token, hosts: texts(at, "hosts").unwrap_or_default() })
}
