//! CSV as RFC 4180 has it, in pieces of any size; `csv-core` splits it, and this makes the strict side of it.
use super::fields::{Column, Fields, Found, LONGEST, Mistake, Shape};
use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

/// Splits a file into rows.
pub(super) struct Csv {
    core: Box<Reader>,
    shape: Shape,
    header: Header,
    field: Field,
    row: Row,
    /// The line that the next byte is on.
    line: u64,
}

/// What is known of the columns.
enum Header {
    Awaited,
    /// In the order of the file.
    Known(Vec<Column>),
    /// Nothing can be said of the lines below it.
    Unusable,
}

/// The row that is being read.
#[derive(Default)]
struct Row {
    /// The line it began on, once it did.
    begun: Option<u64>,
    /// No more than there are columns, and one.
    fields: Vec<Result<Vec<u8>, Fault>>,
    count: usize,
}

/// Why a field has no value.
#[derive(Clone, Copy)]
enum Fault {
    TooLong,
    StrayQuote,
}

impl Csv {
    /// Expects the columns of `shape`.
    pub(super) fn new(shape: Shape) -> Self {
        // Not the crate's own line ends: to it a carriage return alone is one as well.
        let mut core = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
        // It takes away a byte order mark where the first piece holds a whole one, and only there: that was done already.
        let _ = core.read_field(b"\n", &mut [0]);
        let (field, row) = (Field::default(), Row::default());
        Self { core: Box::new(core), shape, header: Header::Awaited, field, row, line: 1 }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut input: &[u8], found: &mut Vec<Found>) {
        let mut output = [0; 1024];
        while let Some(first) = input.first() {
            if self.row.begun.is_none() {
                if *first == b'\n' {
                    self.line += 1;
                    input = input.get(1..).unwrap_or_default();
                    continue;
                }
                self.row.begun = Some(self.line);
            }
            let (result, read, written) = self.core.read_field(input, &mut output);
            let (raw, rest) = input.split_at_checked(read).unwrap_or((input, &[]));
            input = rest;
            self.line += raw.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            let value = output.get(..written).unwrap_or_default();
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {
                    self.field.take(raw, value);
                }
                ReadFieldResult::Field { record_end } => {
                    self.field.take(raw.split_last().map_or(raw, |(_, body)| body), value);
                    self.end_field(record_end, found);
                }
                ReadFieldResult::End => {}
            }
        }
    }

    /// There are no more bytes.
    pub(super) fn end(&mut self, found: &mut Vec<Found>) {
        if self.row.begun.is_some()
            && let (ReadFieldResult::Field { .. }, _, _) = self.core.read_field(&[], &mut [0])
        {
            self.end_field(true, found);
        }
        if matches!(self.header, Header::Awaited) {
            found.push(Found { line: 1, what: Err(Mistake::NoHeader(self.shape.wanted())) });
        }
    }

    fn end_field(&mut self, is_last: bool, found: &mut Vec<Found>) {
        let field = std::mem::take(&mut self.field);
        let is_blank = self.row.count == 0 && is_last && field.is_blank();
        self.row.count += 1;
        if self.row.fields.len() <= self.shape.columns().len() {
            self.row.fields.push(field.value(is_last));
        }
        if is_last {
            let row = std::mem::take(&mut self.row);
            // A line with nothing but its own carriage return.
            if !is_blank && let Some(line) = row.begun {
                self.end_row(line, row, found);
            }
        }
    }

    fn end_row(&mut self, line: u64, row: Row, found: &mut Vec<Found>) {
        match &self.header {
            Header::Awaited => match columns(self.shape, row) {
                Ok(columns) => self.header = Header::Known(columns),
                Err(mistake) => {
                    self.header = Header::Unusable;
                    found.push(Found { line, what: Err(mistake) });
                }
            },
            Header::Known(columns) => {
                found.push(Found { line, what: fields(self.shape, columns, row) });
            }
            Header::Unusable => {}
        }
    }
}

/// Reads the first line.
fn columns(shape: Shape, row: Row) -> Result<Vec<Column>, Mistake> {
    let mut columns = Vec::new();
    for (at, field) in row.fields.into_iter().enumerate() {
        let field = field.unwrap_or_default();
        let known = shape.columns().iter().find(|column| shape.label(**column).as_bytes() == field);
        let column = *known.ok_or(Mistake::UnknownColumn { at: at + 1, wanted: shape.wanted() })?;
        if columns.contains(&column) {
            return Err(Mistake::RepeatedColumn(shape.label(column)));
        }
        columns.push(column);
    }
    for column in shape.columns() {
        if *column != Column::State && !columns.contains(column) {
            return Err(Mistake::MissingColumn(shape.label(*column)));
        }
    }
    Ok(columns)
}

/// Reads any other line.
fn fields(shape: Shape, columns: &[Column], row: Row) -> Result<Fields, Mistake> {
    if row.count != columns.len() {
        return Err(Mistake::WrongCount { found: row.count, wanted: columns.len() });
    }
    let mut fields = Fields::default();
    for (column, field) in columns.iter().zip(row.fields) {
        let label = shape.label(*column);
        let bytes = field.map_err(|fault| match fault {
            Fault::TooLong => Mistake::TooLong(label),
            Fault::StrayQuote => Mistake::StrayQuote(label),
        })?;
        let text = String::from_utf8(bytes).map_err(|_| Mistake::NotUtf8(label))?;
        match column {
            Column::Namespace => fields.namespace = text,
            Column::Name => fields.name = text,
            Column::Identity => fields.identity = text,
            Column::State => fields.state = text,
        }
    }
    Ok(fields)
}

/// The field that is being read: what it is worth, and enough of how it was written to know a stray quote.
#[derive(Default)]
struct Field {
    value: Vec<u8>,
    is_too_long: bool,
    quotes: usize,
    quotes_written: usize,
    first: Option<u8>,
    last: Option<u8>,
    before_last: Option<u8>,
}

impl Field {
    fn take(&mut self, written: &[u8], value: &[u8]) {
        let quotes =
            |bytes: &[u8]| -> usize { bytes.iter().map(|byte| usize::from(*byte == b'"')).sum() };
        self.first = self.first.or(written.first().copied());
        for byte in written.iter().rev().take(2).rev() {
            self.before_last = self.last.replace(*byte);
        }
        self.quotes_written += quotes(written);
        self.quotes += quotes(value);
        // One more for the carriage return before the end of the line.
        if self.value.len() + value.len() > LONGEST + 1 {
            (self.is_too_long, self.value) = (true, Vec::new());
        } else if !self.is_too_long {
            self.value.extend_from_slice(value);
        }
    }

    /// Whether nothing is written here but a carriage return.
    fn is_blank(&self) -> bool {
        self.value.is_empty() && self.first.is_none()
            || self.value == b"\r" && self.before_last.is_none()
    }

    fn value(mut self, is_last: bool) -> Result<Vec<u8>, Fault> {
        // Within quotes a line end ends nothing, so that this one belongs to the line.
        if is_last && self.last == Some(b'\r') {
            (self.last, _) = (self.before_last, self.value.pop());
        }
        if self.is_too_long || self.value.len() > LONGEST {
            return Err(Fault::TooLong);
        }
        // A quote of the value's own is written twice, and two are around it. Behind the second the crate takes
        // everything as it is, quotes with it.
        let is_right = match self.first {
            Some(b'"') => self.last == Some(b'"') && self.quotes_written == 2 + 2 * self.quotes,
            Some(_) | None => self.quotes_written == 0,
        };
        if is_right { Ok(self.value) } else { Err(Fault::StrayQuote) }
    }
}
