//! What can be wrong with a format.

/// An access log format that cannot be used. Positions are byte offsets into the format string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A command operator that Envoy has and Postern does not, or that nobody has.
    #[error("unknown command operator %{operator}% at position {position}")]
    UnknownOperator {
        /// The operator without its percent signs and arguments.
        operator: String,
        /// Where it begins.
        position: usize,
    },
    /// A percent sign that begins no command operator (`%%` stands for a percent sign).
    #[error("malformed command operator at position {position}: {reason}")]
    Malformed {
        /// Where the percent sign is.
        position: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// An argument that the operator does not take, or that it lacks.
    #[error("command operator %{operator}% at position {position}: {reason}")]
    Argument {
        /// The operator without its percent signs and arguments.
        operator: String,
        /// Where it begins.
        position: usize,
        /// What is wrong with the argument.
        reason: String,
    },
    /// An error in one field of a JSON format.
    #[error("field {field}: {source}")]
    Field {
        /// The field, with dots between the names of nested ones.
        field: String,
        /// What is wrong with its format string.
        source: Box<Self>,
    },
}
