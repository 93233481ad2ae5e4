//! Bytes of either format -> rows as text.
use super::{
    Format,
    csv::Csv,
    fields::{Found, Shape},
    json_lines::JsonLines,
};

/// Reads a file that comes in pieces of any size; what it finds does not depend on where they end.
pub(super) struct Parser {
    text: Text,
    /// How much of a byte order mark was seen; `None` once that is settled.
    mark: Option<usize>,
}

enum Text {
    Csv(Csv),
    JsonLines(JsonLines),
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Parser {
    /// Nothing was read yet.
    pub(super) fn new(format: Format, shape: Shape) -> Self {
        let text = match format {
            Format::Csv => Text::Csv(Csv::new(shape)),
            Format::JsonLines => Text::JsonLines(JsonLines::new(shape)),
        };
        Self { text, mark: Some(0) }
    }

    /// Takes the next bytes, and adds what they complete to `found`.
    pub(super) fn feed(&mut self, mut input: &[u8], found: &mut Vec<Found>) {
        while let (Some(seen), Some(first)) = (self.mark, input.first()) {
            if BYTE_ORDER_MARK.get(seen) == Some(first) {
                input = input.get(1..).unwrap_or_default();
                self.mark = Some(seen + 1).filter(|seen| *seen < BYTE_ORDER_MARK.len());
            } else {
                self.no_mark(found);
            }
        }
        self.text.feed(input, found);
    }

    /// There are no more bytes.
    pub(super) fn end(&mut self, found: &mut Vec<Found>) {
        self.no_mark(found);
        match &mut self.text {
            Text::Csv(csv) => csv.end(found),
            Text::JsonLines(lines) => lines.end(found),
        }
    }

    /// What looked like the beginning of a mark belongs to the text.
    fn no_mark(&mut self, found: &mut Vec<Found>) {
        if let Some(seen) = self.mark.take() {
            self.text.feed(BYTE_ORDER_MARK.get(..seen).unwrap_or_default(), found);
        }
    }
}

impl Text {
    fn feed(&mut self, input: &[u8], found: &mut Vec<Found>) {
        match self {
            Self::Csv(csv) => csv.feed(input, found),
            Self::JsonLines(lines) => lines.feed(input, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fields::{Fields, Mistake},
        *,
    };
    use proptest::prelude::*;

    fn read<'a>(
        format: Format,
        shape: Shape,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Found> {
        let (mut parser, mut found) = (Parser::new(format, shape), Vec::new());
        for piece in pieces {
            parser.feed(piece, &mut found);
        }
        parser.end(&mut found);
        found
    }

    fn whole(format: Format, text: &str) -> Vec<Found> {
        read(format, Shape::Registry, [text.as_bytes()])
    }

    fn csv(text: &str) -> Vec<Found> {
        whole(Format::Csv, &format!("namespace,subject,identity,state\n{text}"))
    }

    fn good(line: u64, fields: [&str; 4]) -> Found {
        let [namespace, name, identity, state] = fields.map(str::to_owned);
        Found { line, what: Ok(Fields { namespace, name, identity, state }) }
    }

    fn bad(line: u64, mistake: Mistake) -> Found {
        Found { line, what: Err(mistake) }
    }

    #[test]
    fn columns_stand_in_any_order_behind_a_byte_order_mark_with_either_line_end() {
        for text in [
            "\u{feff}identity,subject,namespace\r\nu-1,alice,corp\r\n",
            "identity,subject,namespace\nu-1,alice,corp",
            "\n\r\n\"identity\",subject,\"namespace\"\n\n\r\nu-1,\"alice\",corp\r\n\r\n\n",
        ] {
            let lines: Vec<_> = whole(Format::Csv, text).into_iter().map(|f| f.what).collect();
            assert_eq!(lines, [good(0, ["corp", "alice", "u-1", ""]).what], "{text:?}");
        }
    }

    #[test]
    fn a_first_line_that_does_not_name_the_columns_is_the_only_mistake() {
        let wanted = Shape::Registry.wanted();
        for (text, mistake) in [
            ("", Mistake::NoHeader(wanted)),
            ("\r\n\n", Mistake::NoHeader(wanted)),
            ("corp,a@b.example,u-1\nx,y\n", Mistake::UnknownColumn { at: 1, wanted }),
            ("namespace,match,identity", Mistake::UnknownColumn { at: 2, wanted }),
            ("namespace,subject,identity,state,", Mistake::UnknownColumn { at: 5, wanted }),
            ("namespace,subject,Identity\n", Mistake::UnknownColumn { at: 3, wanted }),
            ("namespace;subject;identity\n", Mistake::UnknownColumn { at: 1, wanted }),
            ("namespace,subject,subject,identity", Mistake::RepeatedColumn("subject")),
            ("namespace,subject,state\n", Mistake::MissingColumn("identity")),
            (
                "\u{feff}\u{feff}namespace,subject,identity",
                Mistake::UnknownColumn { at: 1, wanted },
            ),
        ] {
            assert_eq!(whole(Format::Csv, text), [bad(1, mistake)], "{text:?}");
        }
        let waiting = b"match,identity,namespace\na@b.example,a@b.example,corp";
        let found = read(Format::Csv, Shape::Unclaimed, [&waiting[..]]);
        assert_eq!(found, [good(2, ["corp", "a@b.example", "a@b.example", ""])]);
        let state = b"namespace,match,identity,state\n";
        let found = read(Format::Csv, Shape::Unclaimed, [&state[..]]);
        let wanted = Shape::Unclaimed.wanted();
        assert_eq!(found, [bad(1, Mistake::UnknownColumn { at: 4, wanted })]);
    }

    #[test]
    fn lines_are_counted_through_quoted_line_breaks_and_blank_lines() {
        let found = csv("corp,\"a\r\nb\n\nc\",u-1,active\r\n\r\ncorp,d,u-2,\n\ncorp,e\n");
        assert_eq!(
            found,
            [
                good(2, ["corp", "a\r\nb\n\nc", "u-1", "active"]),
                good(7, ["corp", "d", "u-2", ""]),
                bad(9, Mistake::WrongCount { found: 2, wanted: 4 }),
            ]
        );
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_next() {
        let long = "x".repeat(4097);
        for (line, mistake) in [
            ("corp,a\"b,u-1,", Mistake::StrayQuote("subject")),
            ("corp,\"a\"b,u-1,", Mistake::StrayQuote("subject")),
            ("corp,\"a\"b\",u-1,", Mistake::StrayQuote("subject")),
            ("corp,a\"\",u-1,", Mistake::StrayQuote("subject")),
            ("corp, \"a\",u-1,", Mistake::StrayQuote("subject")),
            ("corp,\"a\" ,u-1,", Mistake::StrayQuote("subject")),
            ("corp,a,u-1,\"active\"x", Mistake::StrayQuote("state")),
            (&format!("corp,{long},u-1,"), Mistake::TooLong("subject")),
            (&format!("corp,\"{long}\",u-1,"), Mistake::TooLong("subject")),
            (&format!("corp,a,u-1,{long}"), Mistake::TooLong("state")),
            ("corp", Mistake::WrongCount { found: 1, wanted: 4 }),
            ("\"\"", Mistake::WrongCount { found: 1, wanted: 4 }),
            (",,,,,,,,,", Mistake::WrongCount { found: 10, wanted: 4 }),
        ] {
            for end in ["\n", "\r\n"] {
                let found = csv(&format!("{line}{end}corp,b,u-2,active{end}"));
                let next = good(3, ["corp", "b", "u-2", "active"]);
                assert_eq!(found, [bad(2, mistake.clone()), next], "{line}");
            }
        }
        let full = "x".repeat(4096);
        let found = csv(&format!("corp,a,u-1,{full}\r\n"));
        assert_eq!(found, [good(2, ["corp", "a", "u-1", &full])]);
        let unclosed = csv("corp,\"a,u-1,\ncorp,b,u-2,\n");
        assert_eq!(unclosed, [bad(2, Mistake::WrongCount { found: 2, wanted: 4 })]);
        let found = read(
            Format::Csv,
            Shape::Registry,
            [&b"namespace,subject,identity\ncorp,\xff,u-1\ncorp,b,u-2"[..]],
        );
        let next = good(3, ["corp", "b", "u-2", ""]);
        assert_eq!(found, [bad(2, Mistake::NotUtf8("subject")), next]);
    }

    #[test]
    fn an_object_has_each_member_once_and_as_a_string() {
        let found = whole(
            Format::JsonLines,
            "\u{feff}{\"namespace\":\"corp\",\"subject\":\"a\\u0062\",\"identity\":\"u-1\"}\r\n\n \t\r\n\
             {\"state\":\"retired\",\"identity\":\"u-2\",\"subject\":\"\",\"namespace\":\"\"}",
        );
        assert_eq!(
            found,
            [good(1, ["corp", "ab", "u-1", ""]), good(4, ["", "", "u-2", "retired"])]
        );
        for line in [
            "null",
            "[\"corp\",\"a\",\"u-1\",\"active\"]",
            "{}",
            "{\"namespace\":\"corp\",\"subject\":\"a\"}",
            "{\"namespace\":\"corp\",\"subject\":1,\"identity\":\"u-1\"}",
            "{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\",\"state\":null}",
            "{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\",\"identity\":\"u-1\"}",
            "{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\",\"more\":\"\"}",
            "{\"namespace\":\"corp\",\"match\":\"a\",\"identity\":\"u-1\"}",
            "{\"namespace\":\"corp\",\"subject\":\"\\ud800\",\"identity\":\"u-1\"}",
            "{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\"} {}",
            "{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\"",
        ] {
            let found = whole(Format::JsonLines, &format!("{line}\n\n{line}"));
            let lines: Vec<_> = found.iter().map(|f| (f.line, f.what.is_err())).collect();
            assert_eq!(lines, [(1, true), (3, true)], "{line}");
            let said = found[0].what.as_ref().unwrap_err().to_string();
            assert!(!said.contains("more") && !said.contains("corp"), "{said}");
        }
        let long = " ".repeat(64 * 1024 + 1);
        let found = whole(Format::JsonLines, &format!("{long}\n{long}"));
        assert_eq!(found, [bad(1, Mistake::LongLine), bad(2, Mistake::LongLine)]);
    }

    /// Bytes that mean something to one of the formats, more often than others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\"".to_vec()),
            Just(b",".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            Just(b"namespace,subject,identity\n".to_vec()),
            Just(b"{\"namespace\":\"corp\",\"subject\":\"a\",\"identity\":\"u-1\"}\n".to_vec()),
            any::<[u8; 1]>().prop_map(|byte| byte.to_vec()),
            "[a-c]{1,9}".prop_map(String::into_bytes),
            Just(vec![b'x'; 4095]),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_where_pieces_end(
            text in bytes(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
            has_header in any::<bool>(),
        ) {
            let text = if has_header {
                [b"namespace,subject,identity\n", &text[..]].concat()
            } else {
                text
            };
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = || cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
            for format in [Format::Csv, Format::JsonLines] {
                for shape in [Shape::Registry, Shape::Unclaimed] {
                    let whole = read(format, shape, [&text[..]]);
                    prop_assert_eq!(&whole, &read(format, shape, pieces()));
                    prop_assert_eq!(&whole, &read(format, shape, text.chunks(1)));
                }
            }
        }

        #[test]
        fn a_line_is_good_exactly_where_rfc_4180_says_so(line in "[a\", ]{0,12}") {
            let field = r#"(?:"(?:[^"]|"")*"|[^",]*)"#;
            let grammar = regex::Regex::new(&format!("^{field},{field},{field}$")).unwrap();
            let found = whole(Format::Csv, &format!("namespace,subject,identity\n{line}"));
            let is_good = found.iter().all(|found| found.what.is_ok()) && !found.is_empty();
            prop_assert_eq!(is_good, grammar.is_match(&line), "{:?}", found);
        }
    }
}
