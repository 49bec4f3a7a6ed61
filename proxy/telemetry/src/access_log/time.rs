//! `%START_TIME%`: UTC times, formatted by a compiled subset of `strftime`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::access_log::escape;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SECONDS_PER_DAY: i64 = 86_400;

/// One part of a time format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Year,
    YearOfCentury,
    Month,
    MonthName,
    MonthAbbreviation,
    Day,
    DayPadded,
    DayOfYear,
    WeekdayName,
    WeekdayAbbreviation,
    Hour,
    Hour12,
    AmPm,
    Minute,
    Second,
    EpochSeconds,
    /// That many digits of the fraction of a second (1 to 9).
    Fraction(u8),
    Offset,
    Zone,
}

/// A compiled time format. Times print in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFormat(Vec<Part>);

impl Default for TimeFormat {
    /// Envoy's default for `%START_TIME%`: ISO 8601 with milliseconds, `2016-04-15T20:17:00.310Z`.
    fn default() -> Self {
        let dash = || Part::Literal("-".into());
        let colon = || Part::Literal(":".into());
        Self(vec![
            Part::Year,
            dash(),
            Part::Month,
            dash(),
            Part::Day,
            Part::Literal("T".into()),
            Part::Hour,
            colon(),
            Part::Minute,
            colon(),
            Part::Second,
            Part::Literal(".".into()),
            Part::Fraction(3),
            Part::Literal("Z".into()),
        ])
    }
}

impl TimeFormat {
    /// Compiles a format; the error says which specifier is not known.
    pub(super) fn parse(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some(percent) = rest.find('%') {
            literal(&mut parts, &rest[..percent]);
            let after = &rest[percent + 1..];
            rest = specifier(&mut parts, after).ok_or_else(|| unknown(after))?;
        }
        literal(&mut parts, rest);
        Ok(Self(parts))
    }

    /// Appends `time` in this format to a text line.
    pub(super) fn text(&self, out: &mut Vec<u8>, time: SystemTime) {
        self.render(out, time, |out, literal| out.extend_from_slice(literal.as_bytes()));
    }

    /// Appends `time` in this format to a JSON string.
    pub(super) fn json(&self, out: &mut Vec<u8>, time: SystemTime) {
        self.render(out, time, |out, literal| escape::json(out, literal.as_bytes()));
    }

    fn render(&self, out: &mut Vec<u8>, time: SystemTime, literal: impl Fn(&mut Vec<u8>, &str)) {
        let (seconds, nanos) = since_epoch(time);
        let utc = Utc::from_epoch(seconds);
        for part in &self.0 {
            match part {
                Part::Literal(text) => literal(out, text),
                Part::EpochSeconds => signed(out, seconds),
                Part::Fraction(digits) => fraction(out, nanos, *digits),
                part => utc.part(out, part),
            }
        }
    }
}

fn unknown(after: &str) -> String {
    let shown: String = after.chars().take(2).collect();
    format!("unknown time specifier %{shown}")
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Literal(before)) = parts.last_mut() {
        *before = format!("{before}{text}").into();
    } else {
        parts.push(Part::Literal(text.into()));
    }
}

/// Reads one specifier after its percent sign and returns what follows it. Besides those of
/// `strftime`, Envoy's `%f`, `%3f` (fraction of a second) and `%E3S` (seconds with fraction).
fn specifier<'a>(parts: &mut Vec<Part>, after: &'a str) -> Option<&'a str> {
    if let Some(extended) = after.strip_prefix('E') {
        let (digits, rest) = digit(extended).map_or((9, extended), |(digit, rest)| (digit, rest));
        parts.extend([Part::Second, Part::Literal(".".into()), Part::Fraction(digits)]);
        return rest.strip_prefix('S');
    }
    if let Some((digits, rest)) = digit(after) {
        parts.push(Part::Fraction(digits));
        return rest.strip_prefix('f');
    }
    let mut chars = after.chars();
    let expansion = match chars.next()? {
        '%' => return Some(push_literal(parts, "%", chars.as_str())),
        'F' => "%Y-%m-%d",
        'T' => "%H:%M:%S",
        'R' => "%H:%M",
        'D' => "%m/%d/%y",
        single => {
            parts.push(simple(single)?);
            return Some(chars.as_str());
        }
    };
    let mut inner = expansion;
    while let Some(percent) = inner.find('%') {
        literal(parts, &inner[..percent]);
        inner = specifier(parts, &inner[percent + 1..])?;
    }
    Some(chars.as_str())
}

fn push_literal<'a>(parts: &mut Vec<Part>, text: &str, rest: &'a str) -> &'a str {
    literal(parts, text);
    rest
}

/// A digit from 1 to 9, and what follows it.
fn digit(text: &str) -> Option<(u8, &str)> {
    let first = *text.as_bytes().first()?;
    matches!(first, b'1'..=b'9').then(|| (first - b'0', &text[1..]))
}

fn simple(specifier: char) -> Option<Part> {
    Some(match specifier {
        'Y' => Part::Year,
        'y' => Part::YearOfCentury,
        'm' => Part::Month,
        'B' => Part::MonthName,
        'b' | 'h' => Part::MonthAbbreviation,
        'd' => Part::Day,
        'e' => Part::DayPadded,
        'j' => Part::DayOfYear,
        'A' => Part::WeekdayName,
        'a' => Part::WeekdayAbbreviation,
        'H' => Part::Hour,
        'I' => Part::Hour12,
        'p' => Part::AmPm,
        'M' => Part::Minute,
        'S' => Part::Second,
        's' => Part::EpochSeconds,
        'f' => Part::Fraction(9),
        'z' => Part::Offset,
        'Z' => Part::Zone,
        _ => return None,
    })
}

/// Whole seconds since 1970, rounded down, and the nanoseconds above them.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (whole(after), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match before.subsec_nanos() {
                0 => (-whole(before), 0),
                nanos => (-whole(before) - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

/// A moment in UTC, in the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Utc {
    year: i64,
    /// 1 to 12.
    month: u32,
    /// 1 to 31.
    day: u32,
    /// 1 to 366.
    day_of_year: u32,
    /// 0 is Sunday.
    weekday: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Utc {
    fn from_epoch(seconds: i64) -> Self {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
        let (year, month, day) = civil_from_days(days);
        let day_of_year = (days - days_from_civil(year, 1, 1)) as u32 + 1;
        // 1970-01-01 was a Thursday.
        let weekday = (days + 4).rem_euclid(7) as u32;
        Self {
            year,
            month,
            day,
            day_of_year,
            weekday,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    fn part(&self, out: &mut Vec<u8>, part: &Part) {
        match part {
            Part::Year => year(out, self.year),
            Part::YearOfCentury => digits2(out, self.year.rem_euclid(100) as u32),
            Part::Month => digits2(out, self.month),
            Part::MonthName => out.extend_from_slice(month_name(self.month).as_bytes()),
            Part::MonthAbbreviation => out.extend(month_name(self.month).bytes().take(3)),
            Part::Day => digits2(out, self.day),
            Part::DayPadded if self.day < 10 => out.extend_from_slice(&[b' ', b'0' + self.day as u8]),
            Part::DayPadded => digits2(out, self.day),
            Part::DayOfYear => {
                out.push(b'0' + (self.day_of_year / 100) as u8);
                digits2(out, self.day_of_year % 100);
            }
            Part::WeekdayName => out.extend_from_slice(weekday_name(self.weekday).as_bytes()),
            Part::WeekdayAbbreviation => out.extend(weekday_name(self.weekday).bytes().take(3)),
            Part::Hour => digits2(out, self.hour),
            Part::Hour12 => digits2(out, (self.hour + 11) % 12 + 1),
            Part::AmPm => out.extend_from_slice(if self.hour < 12 { b"AM" } else { b"PM" }),
            Part::Minute => digits2(out, self.minute),
            Part::Second => digits2(out, self.second),
            Part::Offset => out.extend_from_slice(b"+0000"),
            Part::Zone => out.extend_from_slice(b"UTC"),
            // Not parts of a calendar date; `TimeFormat::render` prints them.
            Part::Literal(_) | Part::EpochSeconds | Part::Fraction(_) => {}
        }
    }
}

/// The date that lies `days` after 1970-01-01, by Howard Hinnant's algorithm: years begin in March,
/// so that the leap day is a year's last, in eras of 400 years.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn month_name(month: u32) -> &'static str {
    MONTHS.get((month as usize).wrapping_sub(1)).copied().unwrap_or_default()
}

fn weekday_name(weekday: u32) -> &'static str {
    WEEKDAYS.get(weekday as usize).copied().unwrap_or_default()
}

fn digits2(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

fn year(out: &mut Vec<u8>, value: i64) {
    if let Ok(value @ 0..=9999) = u32::try_from(value) {
        digits2(out, value / 100);
        digits2(out, value % 100);
    } else {
        signed(out, value);
    }
}

fn signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The first `digits` digits of the fraction of a second, cut off and not rounded.
fn fraction(out: &mut Vec<u8>, nanos: u32, digits: u8) {
    let mut unit = 100_000_000;
    for _ in 0..digits {
        out.push(b'0' + (nanos / unit % 10) as u8);
        unit = (unit / 10).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    fn print(format: &str, time: SystemTime) -> String {
        let mut out = Vec::new();
        TimeFormat::parse(format).unwrap().text(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_default_is_iso_8601_with_milliseconds() {
        let mut out = Vec::new();
        TimeFormat::default().text(&mut out, at(1_460_751_420, 310_999_999));
        assert_eq!(String::from_utf8(out).unwrap(), "2016-04-15T20:17:00.310Z");
        assert_eq!(TimeFormat::parse("%Y-%m-%dT%H:%M:%S.%3fZ").unwrap(), TimeFormat::default());
        assert_eq!(TimeFormat::parse("%Y-%m-%dT%H:%M:%E3SZ").unwrap(), TimeFormat::default());
    }

    #[test]
    fn envoys_examples() {
        assert_eq!(print("%s.%3f", at(1_527_590_590, 528_000_000)), "1527590590.528");
        assert_eq!(print("%s.%6f", at(1_527_590_590, 528_000_001)), "1527590590.528000");
        assert_eq!(print("%s.%9f", at(1_527_590_590, 528_000_001)), "1527590590.528000001");
        assert_eq!(
            print("%Y/%m/%dT%H:%M:%S%z %s", at(1_527_590_590, 0)),
            "2018/05/29T10:43:10+0000 1527590590"
        );
    }

    #[test]
    fn every_specifier() {
        let time = at(1_767_225_906, 7_000_000); // 2026-01-01 00:05:06, a Thursday
        assert_eq!(print("%a %A %b %B %d|%e|%j %y", time), "Thu Thursday Jan January 01| 1|001 26");
        assert_eq!(print("%F %T %R %D %I%p %Z %%", time), "2026-01-01 00:05:06 00:05 01/01/26 12AM UTC %");
        assert_eq!(print("%1f %f", time), "0 007000000");
        assert_eq!(print("%I %p", at(13 * 3600, 0)), "01 PM");
        assert_eq!(print("%e", at(30 * 86_400, 0)), "31");
    }

    #[test]
    fn leap_days_and_centuries() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
        assert_eq!(civil_from_days(11_017), (2000, 3, 1));
        assert_eq!(civil_from_days(days_from_civil(2100, 2, 28) + 1), (2100, 3, 1));
        assert_eq!(civil_from_days(-1), (1969, 12, 31));
        assert_eq!(print("%j", at(366 * 86_400 - 1, 0)), "001");
        assert_eq!(print("%j", at(1_735_603_200, 0)), "366"); // 2024-12-31
    }

    #[test]
    fn times_before_1970_round_down() {
        let time = UNIX_EPOCH - Duration::from_millis(250);
        assert_eq!(print("%F %T.%3f %s", time), "1969-12-31 23:59:59.750 -1");
        assert_eq!(print("%s", UNIX_EPOCH - Duration::from_secs(2)), "-2");
    }

    #[test]
    fn unknown_specifiers_are_refused_by_name() {
        assert_eq!(TimeFormat::parse("%Y %Q"), Err("unknown time specifier %Q".to_owned()));
        assert_eq!(TimeFormat::parse("a%n"), Err("unknown time specifier %n".to_owned()));
        assert!(TimeFormat::parse("%").is_err());
        assert!(TimeFormat::parse("%3S").is_err());
        assert!(TimeFormat::parse("%E").is_err());
        assert!(TimeFormat::parse("%\u{fc}").is_err());
    }

    #[test]
    fn literals_are_escaped_in_json_only() {
        let format = TimeFormat::parse("\"%Y\"").unwrap();
        let (mut text, mut json) = (Vec::new(), Vec::new());
        format.text(&mut text, UNIX_EPOCH);
        format.json(&mut json, UNIX_EPOCH);
        assert_eq!((&text[..], &json[..]), (&b"\"1970\""[..], &b"\\\"1970\\\""[..]));
    }

    proptest! {
        #[test]
        fn dates_and_days_are_inverse(days in -1_000_000_i64..4_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            prop_assert_eq!(days_from_civil(year, month, day), days);
        }

        #[test]
        fn dates_follow_each_other(days in -1_000_000_i64..4_000_000) {
            prop_assert!(civil_from_days(days) < civil_from_days(days + 1));
        }

        #[test]
        fn any_string_is_accepted_or_refused_without_a_panic(format in ".{0,40}", seconds in any::<u32>()) {
            if let Ok(format) = TimeFormat::parse(&format) {
                format.text(&mut Vec::new(), at(u64::from(seconds), 0));
            }
        }
    }
}
