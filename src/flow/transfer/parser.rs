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
