//! Text into a tree. Only the part of YAML that every reader understands alike is taken: one document, no
//! anchors, aliases or tags, keys that are texts.
use super::{
    mistake::{Place, Report},
    tree::{Entry, Node, Step, Value, append},
};
use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span};
use std::collections::HashSet;

/// The largest configuration that is read, 1 MiB.
pub(super) const MOST_BYTES: usize = 1 << 20;
/// How deep lists and mappings may nest.
const MOST_DEPTH: usize = 32;

/// Reads one document. `None` where nothing can be made of it, which is then reported; a smaller mistake leaves
/// [`Value::Broken`] in its place.
pub(super) fn parse(bytes: &[u8], report: &mut Report) -> Option<Node> {
    let text = text_of(bytes, report)?;
    let mut builder = Builder { report, open: Vec::new(), root: None, documents: 0, lost: false };
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
    };
    for event in Parser::new_from_str_with_options(text, limited(options)) {
        match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => builder.give_up(&error),
        }
        if builder.lost {
            return None;
        }
    }
    let root = builder.root;
    if root.is_none() {
        report.wrong(
            &Place::File,
            "",
            "the configuration is empty (write at least `twilio`, `issuers` and `identity`)",
        );
    }
    root
}

/// The parser's own bounds lie just above ours, so that ours speak first.
fn limited(mut options: Options) -> Options {
    options.flow_nesting_limit = MOST_DEPTH + 8;
    options.block_nesting_limit = MOST_DEPTH + 8;
    options
}

fn text_of<'t>(bytes: &'t [u8], report: &mut Report) -> Option<&'t str> {
    if bytes.len() > MOST_BYTES {
        report.wrong(&Place::File, "", "the configuration is larger than 1 MiB");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let place = place_after(bytes.get(..error.valid_up_to()).unwrap_or_default());
            report.wrong(&place, "", "this is not UTF-8 (save the file as UTF-8)");
            return None;
        }
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let place = place_after(bytes.get(..at).unwrap_or_default());
        report.wrong(&place, "", "here is a NUL byte, which no text has (remove it)");
        return None;
    }
    Some(text)
}

/// The place just behind `before`.
fn place_after(before: &[u8]) -> Place {
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Place::Text { line, column: 1 + String::from_utf8_lossy(last).chars().count() }
}

fn place(marker: Marker) -> Place {
    Place::Text { line: marker.line().max(1), column: marker.col() + 1 }
}

struct Builder<'r> {
    report: &'r mut Report,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    lost: bool,
}

/// A list or mapping that has not ended.
enum Open {
    List { place: Place, items: Vec<Node> },
    Map { place: Place, entries: Vec<Entry>, known: HashSet<Box<str>>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    place: Place,
    /// `None` where the key is one that has been reported.
    name: Option<Box<str>>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let here = place(span.start);
        match event {
            Event::DocumentStart(..) => self.begin_document(&here),
            Event::Scalar(text, style, anchor, tag) => {
                let refused = self.refuses(&here, anchor, tag.is_some());
                let quoted = style != ScalarStyle::Plain;
                // The parser writes an absent value as `~`; only its extent tells.
                let text = if !quoted && span.is_empty() { "".into() } else { text.into() };
                let value = if refused { Value::Broken } else { Value::Scalar { text, quoted } };
                self.add(Node { place: here, value });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(&here, anchor, tag.is_some());
                self.open.push(Open::List { place: here, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(&here, anchor, tag.is_some());
                let (entries, known) = (Vec::new(), HashSet::new());
                self.open.push(Open::Map { place: here, entries, known, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.wrong(&here, ALIAS);
                self.add(Node::broken(here));
            }
            // The stream's own brackets carry nothing; comments and anchors are not asked for.
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) | _ => {}
        }
    }

    fn begin_document(&mut self, here: &Place) {
        self.documents += 1;
        if self.documents == 2 {
            self.wrong(here, "a second document begins here (write one document)");
            self.lost = true;
        }
    }

    /// Before a list or mapping is opened.
    fn begin(&mut self, here: &Place, anchor: usize, tagged: bool) {
        self.refuses(here, anchor, tagged);
        if self.open.len() >= MOST_DEPTH {
            self.wrong(here, "lists and mappings nest more than 32 deep");
            self.lost = true;
        }
    }

    /// Whether a value has an anchor or a tag.
    fn refuses(&mut self, here: &Place, anchor: usize, tagged: bool) -> bool {
        if anchor != 0 {
            self.wrong(here, ALIAS);
        }
        if tagged {
            self.wrong(here, "tags are not read (remove the tag, or put a text with ! in quotes)");
        }
        anchor != 0 || tagged
    }

    fn end(&mut self) {
        let node = match self.open.pop() {
            Some(Open::List { place, items }) => Node { place, value: Value::List(items) },
            Some(Open::Map { place, entries, .. }) => Node { place, value: Value::Map(entries) },
            None => return,
        };
        self.add(node);
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { key: None, .. }) => self.add_key(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some(Key { place, name: Some(key) }) = key.take() {
                    entries.push(Entry { node: placed(node, &place), place, key });
                }
            }
        }
    }

    fn add_key(&mut self, node: Node) {
        let path = self.path();
        let Some(Open::Map { known, key, .. }) = self.open.last_mut() else { return };
        let name = match node.value {
            Value::Scalar { text, .. } if &*text == "<<" => {
                Err("merge keys are not read (write the values out)")
            }
            Value::Scalar { text, .. } if known.insert(text.clone()) => Ok(text),
            Value::Scalar { .. } => Err("this key is here a second time (remove one of them)"),
            Value::List(_) | Value::Map(_) => Err("a key is a text, not a list or a mapping"),
            Value::Broken => Err("a key is a text without anchor or tag"),
        };
        if let Err(what) = name {
            self.report.wrong(&node.place, &path, what);
        }
        *key = Some(Key { place: node.place, name: name.ok() });
    }

    fn give_up(&mut self, error: &ScanError) {
        let kind = error.kind();
        let hint = if *kind == ErrorKind::MissingAnchorOrAliasName {
            " (put a text that begins with * or & in quotes)"
        } else if matches!(kind, ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation) {
            " (indent with spaces)"
        } else {
            ""
        };
        self.wrong(&place(*error.marker()), format!("this is not YAML: {kind}{hint}"));
        self.lost = true;
    }

    fn wrong(&mut self, place: &Place, what: impl Into<String>) {
        let path = self.path();
        self.report.wrong(place, &path, what);
    }

    /// The way to what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match open {
                Open::List { items, .. } => append(&mut path, Step::Index(items.len())),
                Open::Map { key: Some(Key { name: Some(name), .. }), .. } => {
                    append(&mut path, Step::Key(name));
                }
                Open::Map { .. } => {}
            }
        }
        path
    }
}

const ALIAS: &str = "anchors and aliases are not read (write the value out, or put a text that begins with * or & in quotes)";

/// An absent value has no extent, and the parser puts it on the next line: it belongs to its key.
fn placed(node: Node, key: &Place) -> Node {
    match &node.value {
        Value::Scalar { text, quoted: false } if text.is_empty() => {
            Node { place: key.clone(), ..node }
        }
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) | Value::Broken => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mistakes(text: &[u8]) -> Vec<String> {
        let mut report = Report::on(None);
        let root = parse(text, &mut report);
        assert!(root.is_some() || report.count() > 0);
        report.mistakes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let mut report = Report::on(None);
        let root =
            parse("a:\r\n  - é: [x, \"y\"]\n    b:\nc: 1\n".as_bytes(), &mut report).unwrap();
        let place = |line, column| Place::Text { line, column };
        let cursor = super::super::tree::Cursor::root(&root);
        let item = cursor.get("a").unwrap().items().next().unwrap();
        assert_eq!(*item.get("é").unwrap().items().nth(1).unwrap().place(), place(2, 12));
        assert_eq!(*item.get("b").unwrap().place(), place(3, 5));
        assert_eq!(*cursor.get("c").unwrap().place(), place(4, 4));
    }

    #[test]
    fn what_yaml_readers_disagree_about_is_refused_at_its_place() {
        let cases: &[(&[u8], &str)] = &[
            (b"a: 1\nb: {c: 1, c: 2}", "configuration:2:11 b: this key is here a second time"),
            (b"a: &x 1", "configuration:1:7 a: anchors and aliases"),
            (b"a: *x", "configuration:1:4 a: anchors and aliases"),
            (b"a: [*]", "configuration:1:5 a[0]: this is not YAML"),
            (b"a: !!str 1", "configuration:1:10 a: tags are not read"),
            (b"a: {<<: {b: 1}}", "configuration:1:5 a: merge keys"),
            (b"[a]: 1", "configuration:1:1: a key is a text"),
            (b"a: 1\n---\nb: 2", "configuration:2:1: a second document"),
            (b"%YAML 1.1\n---\na: 1", "configuration:1:1: this is not YAML"),
            (b"a: 1\nb:\n\t- c", "configuration:3:2 b: this is not YAML"),
            (b"a: 1\nb: \xff", "configuration:2:4: this is not UTF-8"),
            (b"a: 1\nb: x\0y", "configuration:2:5: here is a NUL"),
            (b"# nothing\n", "configuration: the configuration is empty"),
            (b"", "configuration: the configuration is empty"),
        ];
        for (text, wanted) in cases {
            let found = mistakes(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(wanted), "{} for {wanted}", found[0]);
        }
    }

    #[test]
    fn a_configuration_is_bounded_in_size_and_depth() {
        assert!(mistakes(&vec![b'#'; MOST_BYTES + 1])[0].contains("larger than 1 MiB"));
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(mistakes(deep(32).as_bytes()).is_empty());
        assert!(mistakes(deep(33).as_bytes())[0].contains("more than 32 deep"));
        assert!(mistakes("- ".repeat(500_000).as_bytes())[0].contains("more than 32 deep"));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert!(mistakes("\u{feff}a: 1".as_bytes()).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            mistakes(&bytes);
        }

        #[test]
        fn no_yaml_like_text_makes_the_reader_panic(text in "[-\\[\\]{}:,&*!|>'\"%@`#? \n\ta-c0]{0,60}") {
            mistakes(text.as_bytes());
        }
    }
}
