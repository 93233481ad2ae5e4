//! `HTTPS_PROXY` and `NO_PROXY`.
use super::reader::Reader;
use crate::outbound::http::proxy::ProxySettings;

const VARIABLE: &str = "HTTPS_PROXY";

/// Reads both variables.
pub(super) fn proxy(reader: &mut Reader<'_>) -> Option<ProxySettings> {
    let (proxy, except) = (reader.variable_text(VARIABLE), reader.variable_text("NO_PROXY"));
    let read = ProxySettings::new(proxy, except).ok();
    if read.is_none() {
        let what = "this is not the address of a proxy (write http://host:port)";
        reader.variable_wrong(VARIABLE, what);
    }
    read
}
