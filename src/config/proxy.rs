//! `HTTPS_PROXY` and `NO_PROXY`.
use super::reader::Reader;
use crate::outbound::http::proxy::ProxySettings;

/// Reads both variables.
pub(super) fn proxy(reader: &mut Reader<'_>) -> Option<ProxySettings> {
    const VARIABLE: &str = "HTTPS_PROXY";
    let address = reader.variable_text(VARIABLE);
    let except = reader.variable_text("NO_PROXY");
    let settings = ProxySettings::new(address, except);
    if settings.is_err() {
        let what = "this is not the address of a proxy (write http://host:port)";
        reader.variable_wrong(VARIABLE, what);
    }
    settings.ok()
}
