//! Sections that are not built are refused with "not in this version", and yet read: whoever writes one for a
//! later version learns of its mistakes today.
use super::{
    address,
    reader::{Reader, flag},
    tree::Cursor,
};

/// Checks what the shape cannot say: that plain http needs `insecureHttp` beside it (contract 5).
pub(super) fn check(root: &Cursor<'_>, reader: &mut Reader<'_>) {
    let (twilio, webhooks, upstream) =
        (root.get("twilio"), root.get("webhooks"), root.get("upstream"));
    if let Some(twilio) = twilio {
        refuse_plain(&twilio, "apiBase", false, reader);
    }
    for (at, key) in [(webhooks, "forwardTo"), (upstream, "url")] {
        if let Some(at) = at {
            refuse_plain(&at, key, true, reader);
        }
    }
    let sessions = root.get("appSessions");
    for check in sessions.iter().flat_map(Cursor::items).filter_map(|at| at.get("check")) {
        refuse_plain(&check, "url", true, reader);
    }
}

fn refuse_plain(at: &Cursor<'_>, key: &str, loopback_is_fine: bool, reader: &mut Reader<'_>) {
    let Some(written) = at.get(key) else { return };
    let Some(url) = written.text().and_then(|text| address::http_url(text).ok()) else { return };
    let local = url.host().is_some_and(|host| address::is_loopback(&host));
    if url.scheme() == "http" && !flag(Some(at), "insecureHttp") && !(local && loopback_is_fine) {
        written.wrong(
            &mut reader.report,
            "this is plain http (write https:, or insecureHttp: true beside it)",
        );
    }
}
