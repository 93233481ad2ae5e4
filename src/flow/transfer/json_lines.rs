//! One JSON object a line, in pieces of any size.
use super::fields::{Fields, Found, Mistake, Shape};
use serde::Deserialize;

/// No line is longer: its longest fields, each byte of them escaped, would fit.
const LONGEST: usize = 64 * 1024;

/// Splits a file into objects.
pub(super) struct JsonLines {
    shape: Shape,
    /// The line that is being read, as far as it was.
    kept: Vec<u8>,
    is_too_long: bool,
    /// Its number.
    line: u64,
}

impl JsonLines {
    /// Expects the members of `shape`.
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, kept: Vec::new(), is_too_long: false, line: 1 }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, input: &[u8], found: &mut Vec<Found>) {
        for (at, piece) in input.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                self.end(found);
                self.line += 1;
            }
            if self.kept.len() + piece.len() > LONGEST {
                (self.is_too_long, self.kept) = (true, Vec::new());
            } else if !self.is_too_long {
                self.kept.extend_from_slice(piece);
            }
        }
    }

    /// There is no more of this line.
    pub(super) fn end(&mut self, found: &mut Vec<Found>) {
        let line = self.line;
        if std::mem::take(&mut self.is_too_long) {
            found.push(Found { line, what: Err(Mistake::LongLine) });
        } else if !self.kept.trim_ascii().is_empty() {
            found.push(Found { line, what: object(self.shape, self.kept.trim_ascii()) });
        }
        self.kept.clear();
    }
}

fn object(shape: Shape, line: &[u8]) -> Result<Fields, Mistake> {
    // Serde's own words would repeat what stands there.
    let wrong = |column| Mistake::NotAnObject(shape.wanted(), column);
    // It would take an array for an object's values.
    if line.first() != Some(&b'{') {
        return Err(wrong(1));
    }
    match shape {
        Shape::Registry => serde_json::from_slice::<Registered>(line).map(Fields::from),
        Shape::Unclaimed => serde_json::from_slice::<Waiting>(line).map(Fields::from),
    }
    .map_err(|error| wrong(error.column()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    namespace: String,
    subject: String,
    identity: String,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    namespace: String,
    r#match: String,
    identity: String,
}

impl From<Registered> for Fields {
    fn from(object: Registered) -> Self {
        let Registered { namespace, subject, identity, state } = object;
        Self { namespace, name: subject, identity, state }
    }
}

impl From<Waiting> for Fields {
    fn from(object: Waiting) -> Self {
        let Waiting { namespace, r#match, identity } = object;
        Self { namespace, name: r#match, identity, state: String::new() }
    }
}
