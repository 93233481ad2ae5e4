//! `--set PATH=VALUE` and `--default PATH=VALUE`: over and under the file or the environment.
use super::{
    mistake::{Place, Report},
    plain::{self, Reading},
    sources::Sources,
    tree::{Entry, Node, Step, Value, append},
    yaml,
};

/// Puts the arguments into the tree.
pub(super) fn apply(root: &mut Node, sources: &Sources, report: &mut Report) {
    for argument in &sources.set {
        put("--set", argument, root, report);
    }
    for argument in &sources.default {
        put("--default", argument, root, report);
    }
}

/// One argument. It is never repeated in a mistake but for its path.
fn put(flag: &str, argument: &str, root: &mut Node, report: &mut Report) {
    let parsed = argument.split_once('=').and_then(|(path, value)| Some((steps(path)?, value)));
    let Some((steps, value)) = parsed else {
        let what = "this is not PATH=VALUE (write it as in listen.public=127.0.0.1:4180)";
        report.wrong(&Place::Argument(flag.into()), "", what);
        return;
    };
    let mut path = String::new();
    steps.iter().for_each(|step| append(&mut path, *step));
    let place = Place::Argument(format!("{flag} {path}").into());
    let Some(value) = node(value, &place, report) else { return };
    let over = flag == "--set";
    let Some(target) = walk(root, &steps, &place) else {
        // A default below what the file says otherwise gives way, as defaults do.
        if over {
            report.wrong(&place, &path, "there is no such place in the configuration (name keys that hold a mapping, and items that exist)");
        }
        return;
    };
    match target {
        Target::Fresh(slot) => *slot = value,
        Target::Taken(slot) if over => *slot = value,
        Target::Taken(_) => {}
    }
}

/// Where the value goes.
enum Target<'n> {
    /// Nothing was said there.
    Fresh(&'n mut Node),
    /// Something was.
    Taken(&'n mut Node),
}

/// `a.b[0].c` as steps.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, indices) = part.split_once('[').unwrap_or((part, ""));
        if key.is_empty() {
            return None;
        }
        steps.push(Step::Key(key));
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
        }
    }
    (steps.len() <= 32).then_some(steps)
}

/// Goes to a place, and makes the mappings on the way.
fn walk<'n>(root: &'n mut Node, steps: &[Step<'_>], place: &Place) -> Option<Target<'n>> {
    let (mut at, mut fresh) = (root, false);
    for step in steps {
        at = match (&mut at.value, step) {
            (Value::List(items), Step::Index(index)) => items.get_mut(*index)?,
            (Value::Map(entries), Step::Key(key)) => {
                let known = entries.iter().position(|entry| &*entry.key == *key);
                fresh = known.is_none();
                let index = known.unwrap_or(entries.len());
                if fresh {
                    let (place, key) = (place.clone(), (*key).into());
                    let node = Node::map(place.clone(), Vec::new());
                    entries.push(Entry { place, key, node });
                }
                &mut entries.get_mut(index)?.node
            }
            (Value::Scalar { .. } | Value::Broken | Value::List(_) | Value::Map(_), _) => {
                return None;
            }
        };
    }
    Some(if fresh { Target::Fresh(at) } else { Target::Taken(at) })
}

/// The value: YAML where it is quoted, a list or a mapping, else the text as it stands, since `memory:` would
/// be a mapping to YAML.
fn node(value: &str, place: &Place, report: &mut Report) -> Option<Node> {
    if !value.starts_with(['[', '{', '"', '\'']) {
        // Whoever writes an argument quotes for the shell, not for YAML.
        let special = plain::reading(value) != Reading::Text;
        return Some(if special {
            Node::plain(place.clone(), value)
        } else {
            Node::text(place.clone(), value)
        });
    }
    let mut own = Report::default();
    let read = yaml::parse(value.as_bytes(), &mut own).filter(|_| own.count() == 0);
    let Some(mut read) = read else {
        report.wrong(place, "", "the value is not YAML (write it as it would stand in the file)");
        return None;
    };
    move_to(&mut read, place);
    Some(read)
}

fn move_to(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| move_to(item, place)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.place = place.clone();
            move_to(&mut entry.node, place);
        }),
        Value::Scalar { .. } | Value::Broken => {}
    }
}
