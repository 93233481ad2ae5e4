//! Log lines: JSON, one object a line, or text for a person; and who may log how much (contract 9).
use super::lines::{Lines, LinesGuard};
use serde_json::{Value, ser::Serializer};
use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    io,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt as _, LevelFilter, Targets, filter_fn},
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// These print headers, and so credentials, below `info`.
const NEVER_BELOW_INFO: [&str; 5] = ["hyper", "h2", "rustls", "tokio_postgres", "rusqlite"];

/// How to log.
#[derive(Clone, Debug)]
pub struct Config {
    /// JSON lines, or text for a person.
    pub json: bool,
    /// `level` or `target=level`, separated by commas, as `RUST_LOG` writes it.
    pub directives: String,
    /// Milliseconds since the Unix epoch.
    pub now: fn() -> u64,
}

/// A layer for `subscriber` that writes to `sink`, and the guard that flushes it.
///
/// # Errors
/// The host gives no thread.
pub fn layer<S>(
    config: &Config,
    sink: Box<dyn io::Write + Send>,
) -> io::Result<(impl Layer<S>, LinesGuard)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (lines, guard) = Lines::start(sink)?;
    let writer = LineLayer { lines, json: config.json, now: config.now };
    // A directive that does not parse must not silence the log.
    let wanted = config
        .directives
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let filter = wanted.with_target("audit", LevelFilter::INFO).and(filter_fn(is_line));
    Ok((writer.with_filter(filter), guard))
}

/// Installs the layer for the whole process, writing to `sink`, and `more` beside it.
///
/// # Errors
/// The host gives no thread, or a subscriber is installed already.
pub fn install(
    config: &Config,
    sink: Box<dyn io::Write + Send>,
    more: Option<BoxedLayer>,
) -> io::Result<LinesGuard> {
    let (layer, guard) = layer(config, sink)?;
    let subscriber = tracing_subscriber::registry().with(more).with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(guard)
}

/// A layer beside the log, for traces.
pub type BoxedLayer = Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>;

/// Whether `RUST_LOG` may let this through at all. Spans are for traces: where none are asked for, nobody wants
/// them and they cost nothing.
fn is_line(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && speaks_no_secret(metadata)
}

fn speaks_no_secret(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || !NEVER_BELOW_INFO.iter().any(|name| root.starts_with(name))
}

struct LineLayer {
    lines: Lines,
    json: bool,
    now: fn() -> u64,
}

thread_local! {
    static LINE: RefCell<Line> =
        const { RefCell::new(Line { text: String::new(), second: u64::MAX, stamp: String::new() }) };
}

/// The line that is being written, and the last second that was.
struct Line {
    text: String,
    second: u64,
    stamp: String,
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LINE.with_borrow_mut(|line| {
            line.text.clear();
            let written = if self.json { self.json(line, event) } else { self.text(line, event) };
            if written.is_ok() {
                line.text.push('\n');
                self.lines.add(line.text.as_bytes());
            }
        });
    }
}

impl LineLayer {
    fn json(&self, line: &mut Line, event: &Event<'_>) -> fmt::Result {
        line.text.push_str("{\"time\":\"");
        line.write_time((self.now)())?;
        let line = &mut line.text;
        line.push_str("\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push_str("\",\"target\":");
        push_json(line, event.metadata().target());
        event.record(&mut JsonFields(line));
        line.push('}');
        Ok(())
    }

    fn text(&self, line: &mut Line, event: &Event<'_>) -> fmt::Result {
        line.write_time((self.now)())?;
        let line = &mut line.text;
        write!(line, " {:>5} {}", event.metadata().level(), event.metadata().target())?;
        event.record(&mut TextFields(line));
        Ok(())
    }
}

impl Line {
    /// RFC 3339 in UTC with milliseconds. The calendar is asked once a second.
    fn write_time(&mut self, millis: u64) -> fmt::Result {
        let (second, milli) = (millis / 1_000, millis % 1_000);
        if second != self.second {
            let time =
                i64::try_from(second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            self.stamp.clear();
            write!(self.stamp, "{:.0}", time.unwrap_or(jiff::Timestamp::UNIX_EPOCH))?;
            self.second = second;
        }
        self.text.push_str(self.stamp.trim_end_matches('Z'));
        write!(self.text, ".{milli:03}Z")
    }
}

/// A JSON string: quotes, line breaks and escape characters of an attacker's `kid` stay inside it.
fn push_json(line: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        line.push('"');
        line.push_str(text);
        line.push('"');
        return;
    }
    let mut bytes = std::mem::take(line).into_bytes();
    let start = bytes.len();
    if serde::Serialize::serialize(text, &mut Serializer::new(&mut bytes)).is_err() {
        bytes.truncate(start);
        bytes.extend_from_slice(b"null");
    }
    *line = String::from_utf8(bytes).unwrap_or_default();
}

struct JsonFields<'a>(&'a mut String);

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        self.0.push(',');
        push_json(self.0, field.name());
        self.0.push(':');
    }
}

impl Visit for JsonFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        push_json(self.0, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        let _ = write!(self.0, "{}", Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.name(field);
        push_json(self.0, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        // Written in place, then looked at: what needs no escape is right already.
        self.0.push('"');
        let start = self.0.len();
        let _ = write!(self.0, "{value:?}");
        let written = self.0.get(start..).unwrap_or_default();
        if written.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.push('"');
        } else {
            let written = written.to_owned();
            self.0.truncate(start - 1);
            push_json(self.0, &written);
        }
    }
}

struct TextFields<'a>(&'a mut String);

impl TextFields<'_> {
    fn put(&mut self, field: &Field, value: &str) {
        self.0.push(' ');
        if field.name() != "message" {
            self.0.push_str(field.name());
            self.0.push('=');
        }
        self.0.extend(value.chars().flat_map(printable));
    }
}

impl Visit for TextFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Control characters as Rust writes them, so that nobody's name moves the cursor of a terminal.
fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, directives: &str, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let config = Config { json, directives: directives.into(), now: || 1_795_428_900_123 };
        let (layer, guard) = layer(&config, Box::new(kept.clone())).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        drop(guard);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn p13_a_kid_with_line_breaks_and_escapes_stays_in_its_string() {
        let kid = "a\"\r\n\u{1b}[2Jb";
        let line = logged(true, "info", || tracing::info!(target: "audit", kid, n = 3, "Hello"));
        assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["kid"], kid);
        assert_eq!(value["time"], "2026-11-23T10:15:00.123Z");
        assert_eq!((&value["target"], &value["message"]), (&"audit".into(), &"Hello".into()));
        let text = logged(false, "info", || tracing::info!(kid));
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }

    #[test]
    fn what_is_written_by_its_debug_or_display_form_is_one_json_string_too() {
        let line = logged(true, "info", || {
            tracing::info!(debug = ?"a\"b\\c\n", display = %"say \"so\"", plain = %"127.0.0.1", n = 1);
        });
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["debug"], "\"a\\\"b\\\\c\\n\"");
        assert_eq!(
            (&value["display"], &value["plain"], &value["n"]),
            (&"say \"so\"".into(), &"127.0.0.1".into(), &1.into())
        );
    }

    #[test]
    fn every_line_has_its_own_millisecond_though_the_calendar_is_asked_once_a_second() {
        let mut line = Line { text: String::new(), second: u64::MAX, stamp: String::new() };
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_428_900_123, "2026-11-23T10:15:00.123Z"),
            (1_795_428_900_007, "2026-11-23T10:15:00.007Z"),
            (1_795_428_901_000, "2026-11-23T10:15:01.000Z"),
            (1_795_428_899_999, "2026-11-23T10:14:59.999Z"),
        ] {
            line.text.clear();
            line.write_time(millis).unwrap();
            assert_eq!(line.text, text);
        }
    }

    #[test]
    fn p13_no_directive_lets_hyper_speak_below_info() {
        let line = logged(true, "trace,hyper=trace,h2::codec=trace", || {
            tracing::debug!(target: "hyper::proto::h1", "authorization");
            tracing::trace!(target: "h2::codec", "authorization");
            tracing::debug!(target: "rustls::client", "secret");
            tracing::debug!(target: "usher::app", "kept");
        });
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("kept"));
    }

    #[test]
    fn audit_lines_are_written_whatever_the_level() {
        assert!(logged(true, "error", || tracing::info!(target: "audit", "x")).contains("audit"));
        assert!(
            logged(true, "off,audit=off", || tracing::info!(target: "audit", "x"))
                .contains("audit")
        );
    }
}
