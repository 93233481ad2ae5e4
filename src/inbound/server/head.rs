//! Finds where heads begin and end, in bytes that hyper has not seen yet.
//!
//! hyper drops `Content-Length` where `Transfer-Encoding` is there too, before the service sees the head, and
//! tells nobody. A proxy in front of us that believes the other of the two would see another request than we
//! do (request smuggling, RFC 9112 section 6.1), so both together are looked for here.
use std::io::BufRead;

/// Reads the lines of an HTTP/1 head as they come.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    line: Opening,
    started: bool,
    length: bool,
    coding: bool,
}

/// Where a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadEnd {
    /// How many of the bytes just read belong to the head.
    pub(super) at: usize,
    /// It has both `Content-Length` and `Transfer-Encoding`.
    pub(super) ambiguous: bool,
}

impl HeadScan {
    /// Reads on. Returns the head's end if it lies within `bytes`; what comes after it is not looked at.
    ///
    /// A line ends with LF, as for hyper's parser, so that the two cannot disagree about where a head ends.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<HeadEnd> {
        let (mut rest, mut at) = (bytes, 0);
        while !rest.is_empty() {
            let line = rest;
            let length = rest.skip_until(b'\n').unwrap_or(line.len());
            let line = line.get(..length).unwrap_or(line);
            at += length;
            if !line.ends_with(b"\n") {
                self.line.extend(line);
                return None;
            }
            let ends = if self.line.is_empty() {
                self.take_line(line)
            } else {
                self.line.extend(line);
                let line = std::mem::take(&mut self.line);
                self.take_line(line.bytes())
            };
            if ends {
                let ambiguous = self.length && self.coding;
                *self = Self::default();
                return Some(HeadEnd { at, ambiguous });
            }
        }
        None
    }

    /// Takes the beginning of a complete line; tells whether it ends the head.
    fn take_line(&mut self, line: &[u8]) -> bool {
        if matches!(line, b"\n" | b"\r\n") {
            // Empty lines before a head are skipped (RFC 9112 section 2.2).
            return self.started;
        }
        self.started = true;
        self.length |= names(line, b"content-length");
        self.coding |= names(line, b"transfer-encoding");
        false
    }
}

/// Whether `line` is a header line of this name, also where a blank stands before the colon: hyper refuses
/// that, and this must not depend on it.
fn names(line: &[u8], name: &[u8]) -> bool {
    line.split_at_checked(name.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(name) && matches!(rest.first(), Some(b':' | b' ' | b'\t'))
    })
}

/// The first bytes of a line that came in pieces: enough to tell the names above, and whether it is empty.
#[derive(Debug, Default)]
struct Opening {
    bytes: [u8; 18],
    length: usize,
}

impl Opening {
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn extend(&mut self, piece: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(piece) {
            *to = *from;
            self.length += 1;
        }
    }
}

/// The bytes a client begins HTTP/2 with (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Follows the frames of HTTP/2, to know whether a head is under way.
#[derive(Debug)]
pub(super) struct FrameScan {
    preface: usize,
    header: [u8; 9],
    have: usize,
    payload: u32,
    block: bool,
}

impl Default for FrameScan {
    fn default() -> Self {
        Self { preface: PREFACE.len(), header: [0; 9], have: 0, payload: 0, block: false }
    }
}

impl FrameScan {
    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        while let Some((first, after)) = rest.split_first() {
            if self.have < self.header.len() {
                if let Some(to) = self.header.get_mut(self.have) {
                    *to = *first;
                }
                self.have += 1;
                rest = after;
                if self.have == self.header.len() {
                    self.payload =
                        u32::from_be_bytes([0, self.header[0], self.header[1], self.header[2]]);
                }
            } else {
                let here = (self.payload as usize).min(rest.len());
                self.payload -= u32::try_from(here).unwrap_or(self.payload);
                rest = rest.get(here..).unwrap_or_default();
            }
            if self.have == self.header.len() && self.payload == 0 {
                self.end_frame();
            }
        }
    }

    /// Whether a field block has begun and not ended, or might have.
    pub(super) fn is_partial(&self) -> bool {
        let in_header = self.have > 0 && self.have < self.header.len();
        self.block || in_header || (self.have > 0 && self.is_field_block())
    }

    fn end_frame(&mut self) {
        const END_HEADERS: u8 = 4;
        if self.is_field_block() {
            self.block = self.header[4] & END_HEADERS == 0;
        }
        self.have = 0;
    }

    /// HEADERS or CONTINUATION (RFC 9113 sections 6.2 and 6.10).
    fn is_field_block(&self) -> bool {
        matches!(self.header[3], 1 | 9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] =
        b"POST / HTTP/1.1\r\ncontent-length: 4\r\nTransfer-Encoding: chunked\r\n\r\nrest";

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_cut() {
        let end = BOTH.len() - 4;
        for cut in 0..=BOTH.len() {
            let mut scan = HeadScan::default();
            let found = scan
                .read(&BOTH[..cut])
                .map(|found| (found.at, found.ambiguous))
                .or_else(|| scan.read(&BOTH[cut..]).map(|found| (found.at + cut, found.ambiguous)));
            assert_eq!(found, Some((end, true)), "cut at {cut}");
        }
    }

    #[test]
    fn lines_may_end_with_a_bare_lf_and_empty_ones_may_come_first() {
        let head = b"\r\n\nGET / HTTP/1.1\nHost: a\n\nGET";
        let found = HeadScan::default().read(head);
        assert_eq!(found, Some(HeadEnd { at: head.len() - 3, ambiguous: false }));
    }

    #[test]
    fn one_length_or_one_coding_alone_is_not_ambiguous_and_the_next_head_starts_afresh() {
        let mut scan = HeadScan::default();
        let one = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
        let other =
            b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nx-content-length: 1\r\n\r\n";
        assert_eq!(scan.read(one).map(|end| end.ambiguous), Some(false));
        assert_eq!(scan.read(other).map(|end| end.ambiguous), Some(false));
    }

    #[test]
    fn a_field_block_is_partial_until_its_last_continuation_ends() {
        let mut scan = FrameScan::default();
        scan.read(PREFACE);
        scan.read(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert!(!scan.is_partial(), "SETTINGS is whole");
        scan.read(&[0, 0, 2, 1, 0, 0, 0, 0, 1, 0x82]);
        assert!(scan.is_partial(), "HEADERS lacks a byte");
        scan.read(&[0x86]);
        assert!(scan.is_partial(), "HEADERS did not end the block");
        scan.read(&[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x84]);
        assert!(!scan.is_partial(), "CONTINUATION ended it");
        scan.read(&[0, 0]);
        assert!(scan.is_partial(), "a frame has begun");
        scan.read(&[5, 0, 1, 0, 0, 0, 1, 1, 2]);
        assert!(!scan.is_partial(), "it is DATA, which is no head");
    }
}
