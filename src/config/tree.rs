//! A configuration as a tree: what was said, and where.
use super::mistake::{Place, Report};
use std::{fmt, rc::Rc};

/// One value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a value is, before anything is known about its meaning.
#[derive(Clone)]
pub(super) enum Value {
    /// A text, a number, `true`, or nothing: unquoted, YAML readers disagree which.
    Scalar { text: Box<str>, quoted: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, each key once, in the order written.
    Map(Vec<Entry>),
    /// Something that has been reported already, and is to be passed over.
    Broken,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) key: Box<str>,
    pub(super) node: Node,
}

impl fmt::Debug for Value {
    /// Shows what kind of value it is: a secret may have been written where none belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar { .. } => f.write_str("Scalar(..)"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f.debug_list().entries(entries).finish(),
            Self::Broken => f.write_str("Broken"),
        }
    }
}

impl Node {
    /// A text that no reader takes for anything else.
    pub(super) fn text(place: Place, text: &str) -> Self {
        Self { place, value: Value::Scalar { text: text.into(), quoted: true } }
    }

    /// An unquoted word.
    pub(super) fn plain(place: Place, text: &str) -> Self {
        Self { place, value: Value::Scalar { text: text.into(), quoted: false } }
    }

    /// A mapping.
    pub(super) fn map(place: Place, entries: Vec<(&str, Node)>) -> Self {
        let entries = entries.into_iter().map(|(key, node)| Entry {
            place: node.place.clone(),
            key: key.into(),
            node,
        });
        Self { place, value: Value::Map(entries.collect()) }
    }

    /// Something whose mistake has been reported.
    pub(super) fn broken(place: Place) -> Self {
        Self { place, value: Value::Broken }
    }

    /// The value of `key`, where this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| &*entry.key == key).map(|entry| &entry.node)
    }

    /// The entries, where this is a mapping.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) | Value::Broken => &[],
        }
    }
}

/// A value together with the way to it.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'t> {
    node: &'t Node,
    trail: Option<Rc<Trail<'t>>>,
}

/// The last step to a value, and those before it. Linked, so that a long key is kept once and not once for
/// each value below it.
#[derive(Debug)]
struct Trail<'t> {
    before: Option<Rc<Trail<'t>>>,
    step: Step<'t>,
}

/// From a list to an item, or from a mapping to a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'t> {
    Key(&'t str),
    Index(usize),
}

impl<'t> Cursor<'t> {
    /// Stands at the root.
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node, trail: None }
    }

    /// The value itself.
    pub(super) fn node(&self) -> &'t Node {
        self.node
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> &'t Place {
        &self.node.place
    }

    /// Goes to the value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let entry = self.node.entries().iter().find(|entry| &*entry.key == key)?;
        Some(self.step(&entry.node, Step::Key(&entry.key)))
    }

    /// Whether `key` was written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    /// Goes to each entry of a mapping.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t Entry, Self)> {
        let at = |entry: &'t Entry| (entry, self.step(&entry.node, Step::Key(&entry.key)));
        self.node.entries().iter().map(at)
    }

    /// Goes to each item of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> {
        let items: &'t [Node] = match &self.node.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) | Value::Broken => &[],
        };
        items.iter().enumerate().map(|(index, item)| self.step(item, Step::Index(index)))
    }

    /// The text, where this is one.
    pub(super) fn text(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) | Value::Broken => None,
        }
    }

    /// The way to this value, as in `issuers[0].url`.
    pub(super) fn path(&self) -> String {
        let (mut steps, mut at) = (Vec::new(), self.trail.as_ref());
        while let Some(trail) = at {
            steps.push(trail.step);
            at = trail.before.as_ref();
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            append(&mut path, step);
        }
        path
    }

    /// The way to `key` below this value.
    pub(super) fn path_to(&self, key: &str) -> String {
        let mut path = self.path();
        append(&mut path, Step::Key(key));
        path
    }

    /// Reports that this value is wrong.
    pub(super) fn wrong(&self, report: &mut Report, what: impl Into<String>) {
        report.wrong(self.place(), &self.path(), what);
    }

    /// Reports that what this value names is of no use.
    pub(super) fn unfit(&self, report: &mut Report, what: impl Into<String>) {
        report.unfit(self.place(), &self.path(), what);
    }

    /// Reports that `key` is wrong by not being here.
    pub(super) fn lacks(&self, report: &mut Report, key: &str, what: impl Into<String>) {
        report.wrong(self.place(), &self.path_to(key), what);
    }

    fn step(&self, node: &'t Node, step: Step<'t>) -> Self {
        let trail = Trail { before: self.trail.clone(), step };
        Self { node, trail: Some(Rc::new(trail)) }
    }
}

/// Writes one more step of the way to a value.
pub(super) fn append(path: &mut String, step: Step<'_>) {
    match step {
        Step::Index(index) => path.push_str(&format!("[{index}]")),
        Step::Key(key) => {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&shown(key));
        }
    }
}

/// A key as it may be printed: what does not look like a key may be a secret (`{SK…:secret}` is one key), or
/// steer a terminal.
pub(super) fn shown(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || key.len() > 40 || !key.chars().all(plain) {
        return "(…)".to_owned();
    }
    key.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_keys_and_counts_items_from_0() {
        let leaf = Node::text(Place::File, "x");
        let list = Node { place: Place::File, value: Value::List(vec![leaf.clone(), leaf]) };
        let root = Node::map(Place::File, vec![("a", Node::map(Place::File, vec![("b", list)]))]);
        let cursor = Cursor::root(&root).get("a").unwrap().get("b").unwrap();
        assert_eq!(cursor.items().nth(1).unwrap().path(), "a.b[1]");
    }

    #[test]
    fn p13_what_does_not_look_like_a_key_is_not_printed() {
        assert_eq!(shown("SK00:hunter2"), "(…)");
        assert_eq!(shown("\u{1b}[31m"), "(…)");
        assert_eq!(shown("accountSid"), "accountSid");
        let node = Node::text(Place::File, "hunter2");
        assert!(!format!("{node:?}").contains("hunter2"));
    }
}
