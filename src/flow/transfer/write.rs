//! Rows -> bytes of either format.
use super::Format;
use crate::ports::registry::{Owner, Row, State};
use serde::Serialize;

/// What a file begins with.
pub(super) fn head(format: Format) -> &'static str {
    match format {
        Format::Csv => "namespace,subject,identity,state\r\n",
        Format::JsonLines => "",
    }
}

/// Adds `row` to `text`, with its line end.
pub(super) fn row(format: Format, row: &Row, text: &mut String) {
    let (namespace, subject, state) = match &row.owner {
        Owner::Nobody => ("", "", State::Unlinked),
        Owner::Subject(namespace, subject) => (&**namespace, &**subject, State::Active),
        Owner::Waiting(namespace, name) => (&**namespace, &**name, State::Unclaimed),
    };
    let state = if row.is_retired { State::Retired } else { state };
    let object =
        Object { namespace, subject, identity: row.identity.as_str(), state: state.as_str() };
    match format {
        Format::Csv => {
            for (field, behind) in [
                (object.namespace, ","),
                (object.subject, ","),
                (object.identity, ","),
                (object.state, "\r\n"),
            ] {
                push_field(field, text);
                text.push_str(behind);
            }
        }
        Format::JsonLines => {
            // Four texts can always be written.
            text.push_str(&serde_json::to_string(&object).unwrap_or_default());
            text.push('\n');
        }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    namespace: &'a str,
    subject: &'a str,
    identity: &'a str,
    state: &'a str,
}

/// RFC 4180 section 2: in quotes where there is something to protect.
fn push_field(field: &str, text: &mut String) {
    if !field.contains(['"', ',', '\r', '\n']) {
        return text.push_str(field);
    }
    text.push('"');
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{fields::Shape, parser::Parser, row::of},
        *,
    };
    use proptest::prelude::*;

    fn text(format: Format, rows: &[Row]) -> String {
        let mut text = head(format).to_owned();
        for row in rows {
            super::row(format, row, &mut text);
        }
        text
    }

    #[test]
    fn a_field_is_in_quotes_only_where_it_must_be() {
        let subject = |name: &str, identity: &str| Row {
            owner: Owner::Subject("corp".into(), name.into()),
            identity: crate::domain::identity::ChatIdentity::imported(identity).unwrap(),
            is_retired: false,
            derived_with: None,
        };
        let nobody = Row { owner: Owner::Nobody, is_retired: true, ..subject("", "old") };
        let rows = [
            nobody.clone(),
            Row { is_retired: false, ..nobody },
            subject("[\"t\",\"o\"]", "a b"),
            Row { owner: Owner::Waiting("corp".into(), "é@b".into()), ..subject("", "é@b") },
        ];
        assert_eq!(
            text(Format::Csv, &rows),
            "namespace,subject,identity,state\r\n,,old,retired\r\n,,old,unlinked\r\n\
             corp,\"[\"\"t\"\",\"\"o\"\"]\",a b,active\r\ncorp,é@b,é@b,unclaimed\r\n"
        );
        assert_eq!(
            text(Format::JsonLines, &rows[2..]),
            "{\"namespace\":\"corp\",\"subject\":\"[\\\"t\\\",\\\"o\\\"]\",\"identity\":\"a b\",\"state\":\"active\"}\n\
             {\"namespace\":\"corp\",\"subject\":\"é@b\",\"identity\":\"é@b\",\"state\":\"unclaimed\"}\n"
        );
    }

    /// Any text that may be a namespace or a subject id; marks of the formats more often than others.
    fn name() -> impl Strategy<Value = Box<str>> {
        prop_oneof!["[^\\p{Cc}]{1,40}", "[ \",\u{feff}\u{2028}=a]{1,9}"]
            .prop_map(Box::<str>::from)
            .prop_filter("usher's own", |name| !name.starts_with("urn:usher:"))
    }

    /// Any row that a registry may hold.
    pub(in crate::flow::transfer) fn any_row() -> impl Strategy<Value = Row> {
        let owner = prop_oneof![
            Just((Owner::Nobody, true)),
            Just((Owner::Nobody, false)),
            (name(), name(), any::<bool>()).prop_map(|(n, s, ended)| (Owner::Subject(n, s), ended)),
            (name(), name()).prop_map(|(n, m)| (Owner::Waiting(n, m), false)),
        ];
        (owner, name()).prop_filter_map("an identity", |((owner, is_retired), identity)| {
            if identity.starts_with("g-") {
                return None;
            }
            let identity = crate::domain::identity::ChatIdentity::imported(&identity).ok()?;
            Some(Row { owner, identity, is_retired, derived_with: None })
        })
    }

    proptest! {
        #[test]
        fn p12_what_is_written_reads_back_the_same(
            rows in proptest::collection::vec(any_row(), 0..20)
        ) {
            for format in [Format::Csv, Format::JsonLines] {
                let (mut parser, mut found) = (Parser::new(format, Shape::Registry), Vec::new());
                parser.feed(text(format, &rows).as_bytes(), &mut found);
                parser.end(&mut found);
                let read: Vec<_> = found
                    .into_iter()
                    .map(|found| of(&found.what.unwrap(), Shape::Registry).unwrap())
                    .collect();
                prop_assert_eq!(&read, &rows);
            }
        }
    }
}
