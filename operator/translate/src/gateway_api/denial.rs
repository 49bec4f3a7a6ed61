//! Why something is refused: a condition that is `False`, and a finding.

use crate::finding::ConditionType;
use crate::finding::{Problem, Reason};
use crate::status::Condition;

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Denial {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// As a finding.
    pub(super) fn problem(&self, condition: ConditionType) -> Problem {
        Problem::new(condition, self.reason, self.message.clone())
    }
}

/// A condition that is `True`, unless something is denied.
pub(super) fn condition(
    type_: ConditionType,
    verdict: &Result<(), Denial>,
    good: &'static str,
    message: &str,
) -> Condition {
    match verdict {
        Ok(()) => Condition::new(type_, true, good, message),
        Err(denial) => Condition::new(type_, false, denial.reason, denial.message.clone()),
    }
}
