//! Reading a format string into literals and commands.

use http::HeaderName;

use crate::access_log::command::{Command, HeaderKey, HeaderLookup, Message, Named, Operator};
use crate::access_log::error::FormatError;
use crate::access_log::time::TimeFormat;

/// One part of a format string.
#[derive(Debug)]
pub(super) enum Piece {
    Literal(String),
    Command(Command),
}

/// The headers that a format prints, by message. A header's index is its slot in what is captured.
#[derive(Debug, Clone, Default)]
pub(super) struct HeaderNames {
    pub(super) request: Vec<HeaderName>,
    pub(super) response: Vec<HeaderName>,
    pub(super) trailers: Vec<HeaderName>,
}

impl HeaderNames {
    fn named(&mut self, message: Message, name: HeaderName) -> Named {
        let names = match message {
            Message::Request => &mut self.request,
            Message::Response => &mut self.response,
            Message::Trailers => &mut self.trailers,
        };
        let slot = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name.clone());
            names.len() - 1
        });
        Named { name, slot }
    }
}

/// Splits `source` into literals and commands, in order; adjacent literals are joined.
pub(super) fn parse(
    source: &str,
    hostname: &str,
    names: &mut HeaderNames,
) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut position = 0;
    while let Some(percent) = source[position..].find('%').map(|found| position + found) {
        push_literal(&mut pieces, &source[position..percent]);
        let after = &source[percent + 1..];
        if after.starts_with('%') {
            push_literal(&mut pieces, "%");
            position = percent + 2;
        } else {
            let token = Token::read(after, percent)?;
            position = percent + 1 + token.length;
            pieces.push(Piece::Command(token.compile(hostname, names)?));
        }
    }
    push_literal(&mut pieces, &source[position..]);
    Ok(pieces)
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// A command as written: `NAME(argument):length%`.
struct Token<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    max_length: Option<usize>,
    /// Bytes up to and with the closing percent sign.
    length: usize,
    /// Where its opening percent sign is.
    position: usize,
}

impl<'a> Token<'a> {
    /// Reads the command that begins after the percent sign at `position`.
    fn read(after: &'a str, position: usize) -> Result<Self, FormatError> {
        let malformed = |reason| FormatError::Malformed { position, reason };
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let name_end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, mut rest) = after.split_at(name_end);
        if name.is_empty() {
            return Err(malformed("expected the name of an operator in capitals, or %%"));
        }
        let mut argument = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let (text, behind) = inside.split_once(')').ok_or(malformed("the parenthesis is not closed"))?;
            argument = Some(text);
            rest = behind;
        }
        let mut max_length = None;
        if let Some(digits) = rest.strip_prefix(':') {
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let (number, behind) = digits.split_at(end);
            max_length = Some(number.parse().map_err(|_| malformed("the length after : is not a number"))?);
            rest = behind;
        }
        let rest = rest.strip_prefix('%').ok_or(malformed("expected % at the end of the operator"))?;
        Ok(Self { name, argument, max_length, length: after.len() - rest.len(), position })
    }

    fn compile(&self, hostname: &str, names: &mut HeaderNames) -> Result<Command, FormatError> {
        let operator = self.operator(hostname, names)?;
        if self.max_length.is_some() && !operator.is_text() {
            return Err(self.argument_error("takes no length"));
        }
        Ok(Command { operator, max_length: self.max_length })
    }

    fn operator(&self, hostname: &str, names: &mut HeaderNames) -> Result<Operator, FormatError> {
        match (self.name, self.argument) {
            ("REQ", argument) => self.header(Message::Request, argument, false, names),
            ("REQ_WITHOUT_QUERY", argument) => self.header(Message::Request, argument, true, names),
            ("RESP", argument) => self.header(Message::Response, argument, false, names),
            ("TRAILER", argument) => self.header(Message::Trailers, argument, false, names),
            ("START_TIME", Some(format)) if !format.is_empty() => {
                TimeFormat::parse(format).map(Operator::StartTime).map_err(|error| self.argument_error(error))
            }
            ("GRPC_STATUS", Some(form)) => self.grpc_status(form),
            ("HOSTNAME", None) => Ok(Operator::Constant(hostname.into())),
            (name, argument) => match (Operator::without_argument(name), argument) {
                (Some(operator), None | Some("")) => Ok(operator),
                (Some(_), Some(_)) => Err(self.argument_error("takes no argument")),
                (None, _) => {
                    Err(FormatError::UnknownOperator { operator: name.to_owned(), position: self.position })
                }
            },
        }
    }

    fn grpc_status(&self, form: &str) -> Result<Operator, FormatError> {
        match form {
            "" | "CAMEL_STRING" => Ok(Operator::Text(|entry| entry.grpc_status.map(|s| s.camel_name()))),
            "SNAKE_STRING" => Ok(Operator::Text(|entry| entry.grpc_status.map(|s| s.name()))),
            "NUMBER" => Ok(Operator::Number(|entry| entry.grpc_status.map(|s| u64::from(s.code())))),
            _ => Err(self.argument_error("takes CAMEL_STRING, SNAKE_STRING or NUMBER")),
        }
    }

    /// `X?Y`: the header X, or Y if there is no X.
    fn header(
        &self,
        message: Message,
        argument: Option<&str>,
        without_query: bool,
        names: &mut HeaderNames,
    ) -> Result<Operator, FormatError> {
        let argument = argument.ok_or_else(|| self.argument_error("needs the name of a header"))?;
        let mut headers = argument.split('?');
        let main = self.header_key(message, headers.next().unwrap_or_default(), names)?;
        let alternative = headers.next().map(|name| self.header_key(message, name, names)).transpose()?;
        if headers.next().is_some() {
            return Err(self.argument_error("takes at most one alternative header"));
        }
        Ok(Operator::Header(HeaderLookup { message, main, alternative, without_query }))
    }

    fn header_key(
        &self,
        message: Message,
        name: &str,
        names: &mut HeaderNames,
    ) -> Result<HeaderKey, FormatError> {
        let lower = name.to_ascii_lowercase();
        match (message, lower.as_str()) {
            (Message::Response, ":status") => return Ok(HeaderKey::Status),
            (Message::Request, lower) => {
                if let Some(field) = HeaderKey::request_field(lower) {
                    return Ok(field);
                }
            }
            _ => {}
        }
        let header = HeaderName::from_bytes(lower.as_bytes())
            .map_err(|_| self.argument_error(format!("{name:?} is not the name of a header")))?;
        let named = names.named(message, header);
        let is_service_time = message == Message::Response && lower == "x-envoy-upstream-service-time";
        Ok(if is_service_time { HeaderKey::ServiceTime(named) } else { HeaderKey::Named(named) })
    }

    fn argument_error(&self, reason: impl Into<String>) -> FormatError {
        FormatError::Argument {
            operator: self.name.to_owned(),
            position: self.position,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(source: &str) -> String {
        parse(source, "host", &mut HeaderNames::default()).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_operator_and_its_position() {
        assert_eq!(
            error("a %PROTOCOL% %DYNAMIC_METADATA(x:y)%"),
            "unknown command operator %DYNAMIC_METADATA% at position 13"
        );
        assert_eq!(error("%REQ%"), "command operator %REQ% at position 0: needs the name of a header");
        assert_eq!(
            error("%REQ(A?B?C)%"),
            "command operator %REQ% at position 0: takes at most one alternative header"
        );
        assert_eq!(
            error("..%REQ(a b)%"),
            "command operator %REQ% at position 2: \"a b\" is not the name of a header"
        );
        assert!(error("%RESP(:PATH)%").contains("not the name of a header"));
        assert_eq!(
            error("%START_TIME(%Q)%"),
            "command operator %START_TIME% at position 0: unknown time specifier %Q"
        );
        assert_eq!(error("%DURATION:3%"), "command operator %DURATION% at position 0: takes no length");
        assert_eq!(error("%DURATION(ms)%"), "command operator %DURATION% at position 0: takes no argument");
        assert_eq!(
            error("%GRPC_STATUS(ROMAN)%"),
            "command operator %GRPC_STATUS% at position 0: takes CAMEL_STRING, SNAKE_STRING or NUMBER"
        );
    }

    #[test]
    fn malformed_commands_say_what_was_expected() {
        assert!(error("100%").contains("%%"));
        assert!(error("%protocol%").contains("capitals"));
        assert!(error("%REQ(A%").contains("parenthesis"));
        assert!(error("%PROTOCOL").contains("expected %"));
        assert!(error("%REQ(A):x%").contains("length"));
        assert!(error("%REQ(A):99999999999999999999999%").contains("length"));
        assert!(error("%REQ(A)B%").contains("expected %"));
    }

    #[test]
    fn a_doubled_percent_sign_is_a_literal_one() {
        let pieces = parse("100%% %PROTOCOL%%%", "host", &mut HeaderNames::default()).unwrap();
        let literals: Vec<&str> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Literal(text) => Some(text.as_str()),
                Piece::Command(_) => None,
            })
            .collect();
        assert_eq!(literals, ["100% ", "%"]);
    }

    #[test]
    fn each_header_has_one_slot_per_message() {
        let mut names = HeaderNames::default();
        parse("%REQ(A)% %REQ(b?A)% %RESP(A)% %TRAILER(A)% %REQ(:PATH)%", "host", &mut names).unwrap();
        assert_eq!(names.request, ["a", "b"]);
        assert_eq!(names.response, ["a"]);
        assert_eq!(names.trailers, ["a"]);
    }

    proptest! {
        #[test]
        fn any_string_is_accepted_or_refused_without_a_panic(source in "[%()A-Z?:_0-9a-c\u{fc} -]{0,60}") {
            let _ = parse(&source, "host", &mut HeaderNames::default());
        }

        #[test]
        fn text_without_percent_signs_is_one_literal(source in "[^%]{1,60}") {
            let pieces = parse(&source, "host", &mut HeaderNames::default()).unwrap();
            prop_assert!(matches!(&pieces[..], [Piece::Literal(text)] if *text == source));
        }
    }
}
