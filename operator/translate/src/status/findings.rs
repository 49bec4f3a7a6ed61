//! Findings as text of a condition.

use postern_api::finding::Level;

use super::ApplyProblem;
use crate::finding::{ConditionType, Finding};

/// So many are told in full.
const SHOWN: usize = 3;
/// A message that quotes a long value is cut after so many characters.
const LONGEST: usize = 600;

/// The errors of a condition, the first by field first.
pub(super) fn errors(findings: &[Finding], condition: ConditionType) -> Vec<&Finding> {
    select(findings, |finding| finding.condition == condition && finding.level == Level::Error)
}

/// What is noteworthy about a condition, the worst first.
pub(super) fn notes(findings: &[Finding], condition: ConditionType) -> Vec<&Finding> {
    select(findings, |finding| finding.condition == condition && finding.level != Level::Error)
}

/// Those that are wanted, the worst first, and in the order of their fields.
pub(super) fn select(findings: &[Finding], wanted: impl Fn(&Finding) -> bool) -> Vec<&Finding> {
    let mut found: Vec<_> = findings.iter().filter(|finding| wanted(finding)).collect();
    found.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.path.cmp(&b.path)));
    found
}

/// Field and text of the first ones, and how many more there are: `spec.hosts[0]: ... (and 4 more)`.
pub(super) fn text(findings: &[&Finding]) -> String {
    let shown: Vec<_> = findings.iter().take(SHOWN).map(|finding| one(finding)).collect();
    let mut text = shown.join("; ");
    let more = findings.len().saturating_sub(SHOWN);
    if more > 0 {
        text.push_str(&format!(" (and {more} more)"));
    }
    text
}

/// `text` and then the notes, if there are any.
pub(super) fn with_notes(text: impl Into<String>, notes: &[&Finding]) -> String {
    let mut all = text.into();
    if !notes.is_empty() {
        all.push_str("; ");
        all.push_str(&self::text(notes));
    }
    all
}

fn one(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Error => "",
        Level::Warning => "warning: ",
        Level::Info => "note: ",
    };
    format!("{level}{}", plain(finding))
}

/// Field and text.
pub(super) fn plain(finding: &Finding) -> String {
    let message = cut(&finding.message);
    if finding.path.as_str().is_empty() {
        message.into_owned()
    } else {
        format!("{}: {message}", finding.path)
    }
}

/// What could not be written, in a line.
pub(super) fn problem(problem: &ApplyProblem) -> String {
    let ApplyProblem { object, path, owner, message } = problem;
    let message = cut(message);
    match (path, owner) {
        (Some(path), Some(owner)) => format!("{object}: {path} is owned by {owner:?}: {message}"),
        (Some(path), None) => format!("{object}: {path}: {message}"),
        (None, Some(owner)) => format!("{object}: fields are owned by {owner:?}: {message}"),
        (None, None) => format!("{object}: {message}"),
    }
}

fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}
