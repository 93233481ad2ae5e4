//! What is wrong with a configuration: every mistake at once, each at its place.
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// More mistakes than this help nobody; the rest are counted.
const MOST: usize = 1000;

/// Where in the configuration something was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file as a whole: it could not be read, or it is empty.
    File,
    /// In the file; both count from 1, the column in characters.
    Text {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Variable(Arc<str>),
    /// In an argument such as `--set listen.public`.
    Argument(Arc<str>),
    /// Nowhere: without a file, what is missing is missing from the environment.
    Environment,
}

/// Whose fault a mistake is; it decides the exit code (contract 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration is wrong: exit code 2.
    Wrong,
    /// The configuration names something that is missing, unreadable or of no use: exit code 69.
    Unfit,
}

/// One thing that is wrong, and what to write instead.
///
/// Displays as `FILE:LINE:COL path: what is wrong (what to write instead)`, or with a variable's or argument's
/// name for the position. No value is repeated: it may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    file: Option<Arc<Path>>,
    place: Place,
    path: Box<str>,
    what: Box<str>,
    fault: Fault,
}

impl Mistake {
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The key, as in `issuers[0].url`; empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, and what to write instead.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map_or(Path::new("configuration"), |file| file).display();
        match &self.place {
            Place::File => write!(f, "{file}")?,
            Place::Text { line, column } => write!(f, "{file}:{line}:{column}")?,
            Place::Variable(name) => return write!(f, "{name}: {}", self.what),
            Place::Argument(argument) => write!(f, "{argument}")?,
            Place::Environment => f.write_str("environment")?,
        }
        // An argument names its own path; a longer one lies below it.
        match &self.place {
            Place::Argument(argument) if argument.ends_with(&*self.path) => {}
            _ if self.path.is_empty() => {}
            Place::File
            | Place::Text { .. }
            | Place::Variable(_)
            | Place::Argument(_)
            | Place::Environment => write!(f, " {}", self.path)?,
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that is wrong, ordered by position; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    left_out: usize,
    files: Vec<PathBuf>,
}

impl Mistakes {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// [`Fault::Wrong`] if any is, since no amount of waiting mends a wrong configuration.
    pub fn fault(&self) -> Fault {
        let wrong = self.list.iter().any(|mistake| mistake.fault == Fault::Wrong);
        if wrong { Fault::Wrong } else { Fault::Unfit }
    }

    /// Every file that was read, or that could not be: a change of one is a reason to try again.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl fmt::Display for Mistakes {
    /// One line a mistake, without a final newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.list.iter().enumerate() {
            let newline = if number == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Gathers what a reading finds: mistakes, warnings, and the files it touched.
#[derive(Debug, Default)]
pub(super) struct Report {
    file: Option<Arc<Path>>,
    list: Vec<Mistake>,
    left_out: usize,
    warnings: Vec<String>,
    files: Vec<PathBuf>,
}

impl Report {
    /// Starts a report on `file`, or on the environment.
    pub(super) fn on(file: Option<&Path>) -> Self {
        Self { file: file.map(Arc::from), ..Self::default() }
    }

    /// Notes that the configuration is wrong.
    pub(super) fn wrong(&mut self, place: &Place, path: &str, what: impl Into<String>) {
        self.push(Fault::Wrong, place, path, what.into());
    }

    /// Notes that something the configuration names is of no use.
    pub(super) fn unfit(&mut self, place: &Place, path: &str, what: impl Into<String>) {
        self.push(Fault::Unfit, place, path, what.into());
    }

    fn push(&mut self, fault: Fault, place: &Place, path: &str, what: String) {
        if self.list.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let (path, what) = (path.into(), what.into());
        let mistake = Mistake { file: self.file.clone(), place: place.clone(), path, what, fault };
        if !self.list.contains(&mistake) {
            self.list.push(mistake);
        }
    }

    /// Notes a sentence for the log at start.
    pub(super) fn warn(&mut self, sentence: String) {
        if self.warnings.len() < MOST && !self.warnings.contains(&sentence) {
            self.warnings.push(sentence);
        }
    }

    /// Notes that `file` was read, or should have been.
    pub(super) fn touched(&mut self, file: &Path) {
        if !self.files.iter().any(|known| known == file) {
            self.files.push(file.into());
        }
    }

    /// How many mistakes there are so far.
    pub(super) fn count(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// The warnings, and the files that were read.
    pub(super) fn clean(self) -> (Vec<String>, Vec<PathBuf>) {
        (self.warnings, self.files)
    }

    /// The mistakes in order.
    pub(super) fn mistakes(mut self) -> Mistakes {
        self.list.sort_by(|one, other| one.place.cmp(&other.place));
        Mistakes { list: self.list, left_out: self.left_out, files: self.files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_file_is_written_with_line_and_column() {
        let mut report = Report::on(Some(Path::new("usher.yaml")));
        report.unfit(&Place::Text { line: 12, column: 3 }, "store.url", "b");
        report.wrong(&Place::Text { line: 2, column: 30 }, "", "a");
        report.wrong(&Place::Variable("USHER_AUDIENCE".into()), "issuers[0].audiences", "c");
        report.wrong(&Place::Argument("--set listen.public".into()), "listen.public", "d");
        let mistakes = report.mistakes();
        assert_eq!(
            mistakes.to_string(),
            "usher.yaml:2:30: a\nusher.yaml:12:3 store.url: b\nUSHER_AUDIENCE: c\n--set listen.public: d"
        );
        assert_eq!(mistakes.fault(), Fault::Wrong);
    }

    #[test]
    fn mistakes_beyond_a_thousand_are_counted_and_not_kept() {
        let mut report = Report::on(None);
        for line in 0..1500 {
            report.unfit(&Place::Text { line, column: 1 }, "", "a");
        }
        let mistakes = report.mistakes();
        assert_eq!((mistakes.iter().count(), mistakes.left_out), (1000, 500));
        assert_eq!(mistakes.fault(), Fault::Unfit);
    }
}
