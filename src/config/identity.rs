//! `identity`: the key that identities are derived with, and the fingerprint that pins it.
use super::{reader::Reader, tree::Cursor};
use crate::domain::identity::{IdentityKey, KeyFingerprint};

/// Reads the key. One that does not have the pinned fingerprint would make new people of everybody.
pub(super) fn identity(
    at: &Cursor<'_>,
    reader: &mut Reader<'_>,
) -> Option<(IdentityKey, Option<KeyFingerprint>)> {
    let pinned: Option<KeyFingerprint> = Reader::parsed(at, "fingerprint");
    let named = at.get("key")?;
    let key = match IdentityKey::new(&reader.secret(&named)?) {
        Ok(key) => key,
        Err(short) => {
            let what = format!("this {short} or more (make one with `usher identity new-key`)");
            named.unfit(&mut reader.report, what);
            return None;
        }
    };
    let found = key.fingerprint();
    match (pinned, at.get("fingerprint")) {
        (Some(pinned), Some(at)) if pinned != found => {
            at.unfit(&mut reader.report, format!("the identity key is another one: its fingerprint is {found} (bring back the key: with this one everybody would be somebody new)"));
            None
        }
        (pinned, _) => Some((key, pinned)),
    }
}
