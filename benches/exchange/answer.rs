//! As much of an HTTP/1.1 answer as a client must understand that knows its servers.
use crate::Fault;

/// How long the parts of an answer are.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// The head with its empty line, in bytes.
    pub(crate) head: usize,
    /// The body, in bytes.
    pub(crate) body: usize,
}

/// The first answer in the buffer, or nothing while its bytes are not all there.
/// Anything but a 200 with a `Content-Length` is a fault: a benchmark of refusals measures nothing.
pub(crate) fn span(buffer: &[u8]) -> Result<Option<Span>, Fault> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = buffer.split_at(end + 4);
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(format!("not a 200: {}", String::from_utf8_lossy(buffer)).into());
    }
    let body = content_length(head).ok_or("an answer without content-length")?;
    Ok((rest.len() >= body).then_some(Span { head: head.len(), body }))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        let digits = name.eq_ignore_ascii_case(NAME).then_some(value)?;
        std::str::from_utf8(digits).ok()?.trim().parse().ok()
    })
}
