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
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            let written = if self.json { self.json(line, event) } else { self.text(line, event) };
            if written.is_ok() {
                line.push('\n');
                self.lines.add(line.as_bytes());
            }
        });
    }
}

impl LineLayer {
    fn json(&self, line: &mut String, event: &Event<'_>) -> fmt::Result {
        line.push_str("{\"time\":\"");
        write_time(line, (self.now)())?;
        write!(line, "\",\"level\":\"{}\",\"target\":", event.metadata().level())?;
        push_json(line, event.metadata().target());
        event.record(&mut JsonFields(line));
        line.push('}');
        Ok(())
    }

    fn text(&self, line: &mut String, event: &Event<'_>) -> fmt::Result {
        write_time(line, (self.now)())?;
        write!(line, " {:>5} {}", event.metadata().level(), event.metadata().target())?;
        event.record(&mut TextFields(line));
        Ok(())
    }
}

/// RFC 3339 in UTC with milliseconds.
fn write_time(line: &mut String, millis: u64) -> fmt::Result {
    let time = i64::try_from(millis).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    write!(line, "{:.3}", time.unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

/// A JSON string: quotes, line breaks and escape characters of an attacker's `kid` stay inside it.
fn push_json(line: &mut String, text: &str) {
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
        push_json(self.0, &format!("{value:?}"));
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
