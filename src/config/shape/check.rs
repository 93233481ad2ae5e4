//! Holds a tree against the shape: unknown keys, missing keys, wrong types, and what is not built yet.
use super::{Format, Key, Kind, SECRET, nearest::nearest, scalar};
use crate::config::{
    mistake::Report,
    plain::{self, Reading},
    tree::{Cursor, Entry, Node, Value},
    yaml,
};

/// What a feature is answered with that is known and not built.
const LATER: &str = "not in this version (remove it)";

/// Reports everything below `at` that is not of `kind`.
pub(in crate::config) fn check(kind: &Kind, at: &Cursor<'_>, report: &mut Report) {
    if matches!(at.node().value, Value::Broken) {
        return;
    }
    match kind {
        Kind::Flag => scalar::flag(at, report),
        Kind::Count { min, max } => scalar::count(at, *min, *max, report),
        Kind::Amount => scalar::amount(at, report),
        Kind::Text(format) => scalar::text(format, at, report),
        Kind::Word(words) => scalar::word(words, at, report),
        Kind::Secret => secret(at, report),
        Kind::List { of, min } => list(of, *min, at, report),
        Kind::Section(keys) => section(keys, at, report),
        Kind::Names { name, of, min } => names((name, of), *min, at, report),
        Kind::Either(short, long) => {
            let long_form = matches!(at.node().value, Value::Map(_));
            check(if long_form { long } else { short }, at, report);
        }
        Kind::Forms(forms) => one_of(forms, at, report),
    }
}

fn secret(at: &Cursor<'_>, report: &mut Report) {
    match at.node().value {
        Value::Map(_) => one_of(SECRET, at, report),
        // Whatever was written may be the secret itself.
        Value::Scalar { .. } | Value::List(_) => at.wrong(
            report,
            "a secret is never written here (put it into a file and write {file: PATH}, or {env: NAME})",
        ),
        Value::Broken => {}
    }
}

fn list(of: &Kind, min: usize, at: &Cursor<'_>, report: &mut Report) {
    match &at.node().value {
        Value::List(items) if items.len() < min => {
            at.wrong(report, format!("this list needs at least {min} (or remove the key)"));
        }
        Value::List(_) => at.items().for_each(|item| check(of, &item, report)),
        Value::Scalar { text, quoted: false } if plain::reading(text) == Reading::Nothing => {
            at.wrong(report, "here is no value (write a list, or remove the key)");
        }
        Value::Scalar { .. } => at.wrong(report, "this is a list (put the value in [ ])"),
        Value::Map(_) => at.wrong(report, "this is a list (begin each entry with `- `)"),
        Value::Broken => {}
    }
}

/// Whether here is a mapping; reports it where not.
fn is_map(at: &Cursor<'_>, report: &mut Report) -> bool {
    let what = match &at.node().value {
        Value::Map(_) => return true,
        Value::Broken => return false,
        Value::List(_) => "here is a list",
        Value::Scalar { text, quoted: false } if plain::reading(text) == Reading::Nothing => {
            "here is no value"
        }
        Value::Scalar { .. } => "here is a text",
    };
    at.wrong(report, format!("{what} (write a mapping of keys and values, or remove the key)"));
    false
}

fn names(of: (&Format, &Kind), min: usize, at: &Cursor<'_>, report: &mut Report) {
    if !is_map(at, report) {
        return;
    }
    let (name, kind) = of;
    if at.node().entries().len() < min {
        at.wrong(report, format!("here must be at least {min} (write a name of your choice)"));
    }
    for (entry, value) in at.entries() {
        if let Err(complaint) = (name.check)(&entry.key) {
            report.wrong(&entry.place, &value.path(), complaint);
        }
        check(kind, &value, report);
    }
}

fn one_of(forms: &[&[Key]], at: &Cursor<'_>, report: &mut Report) {
    if !is_map(at, report) {
        return;
    }
    let marks = || forms.iter().filter_map(|form| form.first()).map(|key| key.name);
    let said: Vec<_> =
        forms.iter().filter(|form| form.first().is_some_and(|key| at.has(key.name))).collect();
    match said.as_slice() {
        [form] => {
            for (entry, value) in at.entries() {
                if !form.iter().any(|key| key.name == &*entry.key)
                    && forms.iter().any(|other| other.iter().any(|key| key.name == &*entry.key))
                {
                    let mark = form.first().map_or("", |key| key.name);
                    let what = format!("this does not go with `{mark}` (remove one of them)");
                    report.wrong(&entry.place, &value.path(), what);
                }
            }
            keys_of(form, forms, at, report);
        }
        [] => {
            let known = forms.concat();
            let before = report.count();
            keys_of(&[], &[known.as_slice()], at, report);
            if report.count() == before {
                let all = marks().collect::<Vec<_>>().join("` or `");
                at.wrong(report, format!("this needs `{all}`"));
            }
        }
        [..] => {
            let all = marks().filter(|mark| at.has(mark)).collect::<Vec<_>>().join("` and `");
            at.wrong(report, format!("`{all}` exclude each other (remove all but one)"));
        }
    }
}

fn section(keys: &[Key], at: &Cursor<'_>, report: &mut Report) {
    if is_map(at, report) {
        keys_of(keys, &[keys], at, report);
    }
}

/// Checks the entries of a mapping. `known` may hold more keys than belong here, for the hints.
fn keys_of(keys: &[Key], known: &[&[Key]], at: &Cursor<'_>, report: &mut Report) {
    // A slip of the pen is one mistake, not an unknown key and a missing one.
    let mut meant = Vec::new();
    for (entry, value) in at.entries() {
        match keys.iter().find(|key| key.name == &*entry.key) {
            Some(key) => one_key(key, entry, &value, report),
            None if known.iter().any(|form| form.iter().any(|key| key.name == &*entry.key)) => {}
            None => meant.extend(unknown(known, entry, &value, report)),
        }
    }
    for key in keys.iter().filter(|key| key.required) {
        if !at.has(key.name) && !meant.contains(&key.name) {
            at.lacks(report, key.name, format!("missing (write {})", sample(key)));
        }
    }
}

fn one_key(key: &Key, entry: &Entry, value: &Cursor<'_>, report: &mut Report) {
    check(&key.kind, value, report);
    if key.later && !is_default(key, value.node()) {
        report.wrong(&entry.place, &value.path(), LATER);
    }
}

/// Reports an unknown key and returns the known one that was meant.
fn unknown(
    known: &[&[Key]],
    entry: &Entry,
    value: &Cursor<'_>,
    report: &mut Report,
) -> Option<&'static str> {
    let names = known.iter().flat_map(|form| form.iter().map(|key| key.name));
    let near = nearest(&entry.key, names);
    let what = match near {
        None => "unknown key".to_owned(),
        Some((near, true)) => format!("unknown key (did you mean `{near}`?)"),
        Some((near, false)) => format!("unknown key (the nearest known key is `{near}`)"),
    };
    // Beside `file` and `env`, what is no key may be the secret itself.
    let secret = known.iter().any(|form| form.iter().any(|key| key.name == "env"));
    let surely = near.is_some_and(|(_, surely)| surely);
    let path = if secret && !surely { "(…)".to_owned() } else { value.path() };
    report.wrong(&entry.place, &path, what);
    near.filter(|(_, surely)| *surely).map(|(name, _)| name)
}

fn is_default(key: &Key, node: &Node) -> bool {
    let Some(default) = key.default else { return false };
    let mut ignored = Report::default();
    yaml::parse(default.as_bytes(), &mut ignored).is_some_and(|default| same(&default, node))
}

fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar { text: one, .. }, Value::Scalar { text: other, .. }) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => one.is_empty() && other.is_empty(),
        (Value::Scalar { .. } | Value::List(_) | Value::Map(_) | Value::Broken, _) => false,
    }
}

fn sample(key: &Key) -> String {
    let value = key.example.or(key.default).unwrap_or("its keys below it");
    format!("{}: {value}", key.name)
}
