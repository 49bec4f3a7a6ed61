//! What is wrong, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use postern_api::finding::{Level, SchemaFinding};
use postern_api::meta::ObjectKey;
use postern_translate::{ConditionType, Finding, Reason};
use serde::Serialize;

use crate::files::{ObjectName, Place, Problem, Reading};

/// How errors look on a terminal.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const INFO: Style = AnsiColor::Cyan.on_default();
const PLACE: Style = Style::new().bold();

/// One thing that is wrong or noteworthy, with its place in the files. Their order is that of the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Line {
    /// Absent: the object is in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(flatten, serialize_with = "place")]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectName>,
    /// The field; empty for the whole object or file.
    path: String,
    pub(crate) level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    message: String,
}

fn place<S: serde::Serializer>(place: &Option<Place>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(place.iter().flat_map(|place| [("line", place.line), ("column", place.column)]))
}

impl Line {
    fn of_problem(problem: &Problem) -> Self {
        Self {
            file: Some(problem.file.to_path_buf()),
            place: problem.place,
            object: problem.object.clone(),
            path: problem.path.to_string(),
            level: problem.level,
            code: None,
            condition: None,
            reason: None,
            message: problem.message.clone(),
        }
    }

    fn of_schema(key: &ObjectKey, finding: &SchemaFinding) -> Self {
        Self {
            file: None,
            place: None,
            object: Some(ObjectName::from(key)),
            path: finding.path.to_string(),
            level: finding.level,
            code: finding.code,
            condition: None,
            reason: None,
            message: finding.message.clone(),
        }
    }

    fn of_finding(finding: &Finding) -> Self {
        Self {
            condition: Some(finding.condition),
            reason: Some(finding.reason),
            ..Self::of_schema(
                &finding.object,
                &SchemaFinding {
                    path: finding.path.clone(),
                    level: finding.level,
                    message: finding.message.clone(),
                    code: finding.code,
                },
            )
        }
    }
}

impl Line {
    /// The same wherever it stands.
    pub(crate) fn without_place(&self) -> Self {
        Self { file: None, place: None, ..self.clone() }
    }
}

/// `FILE:LINE:COLUMN: LEVEL: OBJECT: FIELD: MESSAGE [CODE]`, as compilers have it, so that editors find the place.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = match self.level {
            Level::Error => ERROR,
            Level::Warning => WARNING,
            Level::Info => INFO,
        };
        if let Some(file) = &self.file {
            let file =
                if file.as_os_str() == "-" { "<standard input>".into() } else { file.to_string_lossy() };
            write!(f, "{PLACE}{file}")?;
            if let Some(Place { line, column }) = self.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, "{PLACE:#}: ")?;
        }
        write!(f, "{style}{}{style:#}: ", self.level)?;
        if let Some(object) = &self.object {
            write!(f, "{PLACE}{object}{PLACE:#}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.code.map_or(Ok(()), |code| write!(f, " [{code}]"))
    }
}

/// Findings in the order of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
}

impl Report {
    /// What reading the files said.
    pub(crate) fn of_reading(reading: &Reading) -> Self {
        let mut report = Self::of_problems(reading);
        let mut locator = reading.locator();
        for (key, object) in &reading.objects {
            for finding in &object.parsed.findings {
                let place = locator.find(key, &finding.path);
                report.add(Line::of_schema(key, finding), place);
            }
        }
        report.sorted()
    }

    /// What reading the files and translating them said.
    pub(crate) fn of_all(reading: &Reading, findings: &BTreeMap<ObjectKey, Vec<Finding>>) -> Self {
        let mut report = Self::of_problems(reading);
        let mut locator = reading.locator();
        for finding in findings.values().flatten() {
            let place = locator.find(&finding.object, &finding.path);
            report.add(Line::of_finding(finding), place);
        }
        report.sorted()
    }

    fn of_problems(reading: &Reading) -> Self {
        Self { lines: reading.problems.iter().map(Line::of_problem).collect() }
    }

    fn add(&mut self, line: Line, place: Option<(PathBuf, Option<Place>)>) {
        let (file, place) = place.map_or((None, None), |(file, place)| (Some(file), place));
        self.lines.push(Line { file, place, ..line });
    }

    fn sorted(mut self) -> Self {
        self.lines.sort();
        self.lines.dedup();
        self
    }

    /// How many there are of a level.
    pub(crate) fn count(&self, level: Level) -> usize {
        self.lines.iter().filter(|line| line.level == level).count()
    }

    /// The errors alone.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.level == Level::Error)
    }

    /// A line for each.
    pub(crate) fn write_text(&self, to: &mut impl Write) -> io::Result<()> {
        self.lines.iter().try_for_each(|line| writeln!(to, "{line}"))
    }

    /// An object with the list `findings` and the number of `errors`, `warnings` and `infos`.
    pub(crate) fn write_json(&self, to: &mut impl Write) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Json<'a> {
            findings: &'a [Line],
            errors: usize,
            warnings: usize,
            infos: usize,
        }
        let json = Json {
            findings: &self.lines,
            errors: self.count(Level::Error),
            warnings: self.count(Level::Warning),
            infos: self.count(Level::Info),
        };
        serde_json::to_writer_pretty(&mut *to, &json)?;
        Ok(writeln!(to)?)
    }
}

/// `1 error`, `2 errors`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
