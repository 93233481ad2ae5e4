//! Which form of the token answer a caller prefers (RFC 9110 section 12.5.1).
use http::{HeaderMap, header::ACCEPT};

/// The forms of the token answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The JSON object.
    Json,
    /// The bare token as `application/jwt`.
    Jwt,
    /// The bare token as `text/plain`.
    Plain,
}

/// The form with the highest weight; of two, the one named first. JSON where none is named.
pub(super) fn preferred(headers: &HeaderMap) -> Form {
    let mut best = (Form::Json, 0);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default() {
                kind if kind.eq_ignore_ascii_case("application/jwt") => Form::Jwt,
                kind if kind.eq_ignore_ascii_case("text/plain") => Form::Plain,
                kind if kind.eq_ignore_ascii_case("application/json") => Form::Json,
                "*/*" | "application/*" => Form::Json,
                _ => continue,
            };
            let weight = parts.find_map(weight).unwrap_or(1000);
            if weight > best.1 {
                best = (form, weight);
            }
        }
    }
    best.0
}

/// `q=0.5` as thousandths.
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    Some(if whole == "0" { thousandths.min(999) } else { 1000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_token_is_given_only_to_those_who_prefer_it() {
        for (accept, form) in [
            ("application/jwt", Form::Jwt),
            ("Application/JWT", Form::Jwt),
            ("text/plain", Form::Plain),
            ("text/plain, */*; q=0.01", Form::Plain),
            ("application/json, text/plain, */*", Form::Json),
            ("text/plain;q=0.5, application/json;q=0.9", Form::Json),
            ("application/jwt;q=0", Form::Json),
            ("text/html", Form::Json),
            ("*/*", Form::Json),
            ("", Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(preferred(&headers), form, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new()), Form::Json);
    }
}
