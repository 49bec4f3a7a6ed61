//! Numbers with a range.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// A TCP or UDP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct Port(NonZeroU16);

/// A number that is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a port number; it must be from 1 to 65535")]
pub struct PortError(i64);

impl Port {
    /// The port with this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, 1 to 65535.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<i64> for Port {
    type Error = PortError;

    fn try_from(number: i64) -> Result<Self, PortError> {
        u16::try_from(number).ok().and_then(Self::new).ok_or(PortError(number))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share in percent: 0, or 0.0001 to 100. Istio's smallest step is a millionth, as Envoy's is.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(f64);

/// A [`Percent`] as Istio's messages hold it: `{ value: 5 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentage {
    /// The share; 0 if it is left out.
    pub value: Percent,
}

/// A number that is no percentage.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a percentage; it must be 0, or from 0.0001 to 100")]
pub struct PercentError(f64);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100.0);

    /// In percent, 0 to 100.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// In millionths, 0 to 1,000,000: the finest denominator of Envoy's fractional percent.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is 0 to 1,000,000")]
    pub fn millionths(self) -> u32 {
        (self.0 * 10_000.0).round() as u32
    }
}

impl TryFrom<f64> for Percent {
    type Error = PercentError;

    fn try_from(percent: f64) -> Result<Self, PercentError> {
        if percent == 0.0 || (0.0001..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(PercentError(percent))
        }
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_have_a_range() {
        assert_eq!(serde_json::from_value::<Port>(json!(443)).unwrap().get(), 443);
        for number in [0, -1, 65536, i64::from(u32::MAX)] {
            let error = serde_json::from_value::<Port>(json!(number)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{number} is not a port number; it must be from 1 to 65535")
            );
        }
    }

    #[test]
    fn percentages_have_a_range() {
        let percent = |value| serde_json::from_value::<Percent>(value);
        assert_eq!(percent(json!(0.0001)).unwrap().millionths(), 1);
        assert_eq!(percent(json!(100)).unwrap(), Percent::ALL);
        assert_eq!(Percent::ALL.millionths(), 1_000_000);
        assert_eq!(percent(json!(33.3)).unwrap().millionths(), 333_000);
        for value in [-1.0, 0.00001, 100.1] {
            assert!(percent(json!(value)).is_err(), "{value}");
        }
    }
}
