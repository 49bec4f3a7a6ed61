//! A span of time as Istio's API writes it.

use std::fmt;
use std::str::FromStr;

/// A span of time that is not negative: `5s`, `1.5s`, `100ms`, `1h30m`.
///
/// Istio reads Go's syntax (one or more numbers, each with a unit of `h`, `m`, `s`, `ms`, `us`, `µs` or
/// `ns`); it is written back in protobuf's JSON form, seconds with up to nine decimals (`5400s`, `0.1s`),
/// which is part of the same syntax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// Why a text is not a [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not in the syntax.
    #[error("{0:?} is not a duration; write numbers with units, such as 5s, 1.5s, 100ms or 1h30m")]
    Syntax(String),
    /// It is below zero.
    #[error("{0:?} is negative; a duration is 0s or longer")]
    Negative(String),
    /// Go's durations, and so Istio's, end after about 292 years.
    #[error("{0:?} is too long; a duration ends at 2562047h")]
    TooLong(String),
}

impl Duration {
    /// The same span as the standard library has it.
    #[must_use]
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// Zero, which in most fields switches the limit off.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Self {
        Self(span)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        if nanos == 0 {
            return write!(f, "{}s", self.0.as_secs());
        }
        let decimals = format!("{nanos:09}");
        write!(f, "{}.{}s", self.0.as_secs(), decimals.trim_end_matches('0'))
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let syntax = || DurationError::Syntax(text.to_owned());
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(syntax());
        }
        let mut nanos: u128 = 0;
        while !rest.is_empty() {
            let (part, after) = leading_part(rest).ok_or_else(syntax)?;
            let part = part.ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
            nanos = nanos.saturating_add(part);
            rest = after;
        }
        if negative && nanos > 0 {
            return Err(DurationError::Negative(text.to_owned()));
        }
        // Go counts nanoseconds in an i64.
        let nanos = i64::try_from(nanos).map_err(|_| DurationError::TooLong(text.to_owned()))?;
        Ok(Self(std::time::Duration::from_nanos(nanos.unsigned_abs())))
    }
}

/// Takes `1.5s` off the front of `1.5s200ms`: its nanoseconds (`None` if they overflow) and the rest.
/// `None` if the front has no number with a unit. Decimals below a nanosecond are cut off, as Go does.
fn leading_part(text: &str) -> Option<(Option<u128>, &str)> {
    let (whole, rest) = split_digits(text);
    let (decimals, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && decimals.is_empty() {
        return None;
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    Some((nanos(whole, decimals, unit), rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn nanos(whole: &str, decimals: &str, unit: u128) -> Option<u128> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let whole = whole.checked_mul(unit)?;
    // 18 decimals of an hour are far below a nanosecond.
    let decimals = decimals.get(..18).unwrap_or(decimals);
    if decimals.is_empty() {
        return Some(whole);
    }
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let fraction = decimals.parse::<u128>().ok()?.checked_mul(unit)? / scale;
    whole.checked_add(fraction)
}

super::string_serde!(Duration);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn nanos_of(text: &str) -> u128 {
        text.parse::<Duration>().unwrap().get().as_nanos()
    }

    #[test]
    fn reads_gos_syntax() {
        assert_eq!(nanos_of("0"), 0);
        assert_eq!(nanos_of("0s"), 0);
        assert_eq!(nanos_of("5s"), 5_000_000_000);
        assert_eq!(nanos_of("+5s"), 5_000_000_000);
        assert_eq!(nanos_of("1.5s"), 1_500_000_000);
        assert_eq!(nanos_of(".5s"), 500_000_000);
        assert_eq!(nanos_of("1.s"), 1_000_000_000);
        assert_eq!(nanos_of("100ms"), 100_000_000);
        assert_eq!(nanos_of("1h30m0.5s"), 5_400_500_000_000);
        assert_eq!(nanos_of("7us"), nanos_of("7µs"));
        assert_eq!(nanos_of("3ns"), 3);
        assert_eq!(nanos_of("0.1234567899s"), 123_456_789);
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in ["", "5", "s", "5 s", "5d", "1.2.3s", ".s", "five", "5s!", "+", "-"] {
            assert_eq!(text.parse::<Duration>(), Err(DurationError::Syntax(text.to_owned())), "{text:?}");
        }
        assert!(matches!("-1s".parse::<Duration>(), Err(DurationError::Negative(_))));
        assert!(matches!("2562048h".parse::<Duration>(), Err(DurationError::TooLong(_))));
        let digits = "9".repeat(60);
        assert!(matches!(format!("{digits}h").parse::<Duration>(), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn is_written_in_protobufs_form() {
        for (read, written) in [("1h30m", "5400s"), ("100ms", "0.1s"), ("0", "0s"), ("1ns", "0.000000001s")] {
            assert_eq!(read.parse::<Duration>().unwrap().to_string(), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in 0..=i64::MAX.unsigned_abs()) {
            let duration = Duration::from(std::time::Duration::from_nanos(nanos));
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }

        #[test]
        fn parts_add_up(h in 0..1000_u64, m in 0..1000_u64, s in 0..1000_u64, ms in 0..1000_u64) {
            let text = format!("{h}h{m}m{s}s{ms}ms");
            let millis = ((h * 60 + m) * 60 + s) * 1000 + ms;
            prop_assert_eq!(
                text.parse::<Duration>().map(Duration::get),
                Ok(std::time::Duration::from_millis(millis))
            );
        }

        #[test]
        fn nothing_panics(text in r"[-+0-9.hmsuµn ]{0,30}|\PC{0,10}") {
            let _ = text.parse::<Duration>();
        }
    }
}
