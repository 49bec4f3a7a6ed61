//! Regular expressions as Istio and Envoy have them: RE2's syntax, run by the `regex` crate.
//!
//! The two read most expressions alike. Where they differ, the text is rewritten so that it means what RE2 says:
//! `\d`, `\w`, `\s` and `\b` are ASCII; `{` that begins no repetition is itself (`/users/{id}`); `\Q…\E` quotes;
//! `[`, `&`, `~` and `-` are plain characters inside of `[…]`; `\<` and `\>` are plain characters; `\C` is any byte.
//! Octal escapes are refused, as is what RE2 does not have: look-around, back-references, the flags `x` and `u`.
//! Source: RE2's `doc/syntax.txt`.

use regex::bytes::{Regex, RegexBuilder};

/// The largest compiled expression in bytes. Fits any hand-written route many times over and keeps one object
/// from taking the ingress's memory.
const SIZE_LIMIT: usize = 1 << 20;

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// It is not RE2.
    #[error("{pattern:?} is not a valid RE2 expression: {why}")]
    Syntax {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is too large when compiled.
    #[error("{pattern:?} is larger than {SIZE_LIMIT} bytes when compiled")]
    TooLarge {
        /// The expression.
        pattern: String,
    },
}

/// Compiles an expression that may match anywhere in a text (Istio's `uriRegexRewrite`).
///
/// # Errors
/// [`PatternProblem`].
pub fn search(pattern: &str) -> Result<Regex, PatternProblem> {
    build(pattern, &translate(pattern)?)
}

/// Compiles an expression that must fit the whole text (Istio's and Envoy's matches).
///
/// # Errors
/// [`PatternProblem`].
pub fn full_match(pattern: &str) -> Result<Regex, PatternProblem> {
    build(pattern, &anchored(&translate(pattern)?))
}

pub(crate) fn anchored(translated: &str) -> String {
    format!("^(?:{translated})$")
}

pub(crate) fn build(pattern: &str, translated: &str) -> Result<Regex, PatternProblem> {
    RegexBuilder::new(translated).size_limit(SIZE_LIMIT).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternProblem::TooLarge { pattern: pattern.to_owned() },
        // The message is several lines with a drawing; the last line says what is wrong.
        error => {
            let text = error.to_string();
            let why = text.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
            PatternProblem::Syntax { pattern: pattern.to_owned(), why: why.to_owned() }
        }
    })
}

/// An RE2 expression in the syntax of the `regex` crate. Parentheses are balanced in what is returned, so that it
/// can be put into a group.
///
/// # Errors
/// [`PatternProblem::Syntax`] for what only a look at the whole text finds; the compiler finds the rest.
pub fn translate(pattern: &str) -> Result<String, PatternProblem> {
    let mut translator =
        Translator { rest: pattern, out: String::with_capacity(pattern.len() + 16), depth: 0 };
    translator
        .expression()
        .map_err(|why| PatternProblem::Syntax { pattern: pattern.to_owned(), why: why.to_owned() })?;
    Ok(translator.out)
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
    /// Open groups.
    depth: usize,
}

impl<'p> Translator<'p> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.take(next.len_utf8());
        Some(next)
    }

    /// The next so many bytes.
    fn take(&mut self, length: usize) -> &'p str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Takes the next so many bytes over as they are.
    fn copy(&mut self, length: usize) {
        let taken = self.take(length);
        self.out.push_str(taken);
    }

    fn expression(&mut self) -> Result<(), &'static str> {
        while let Some(next) = self.next() {
            match next {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.open_group()?,
                ')' => {
                    self.depth = self.depth.checked_sub(1).ok_or("unexpected )")?;
                    self.out.push(')');
                }
                '{' if !starts_repetition(self.rest) => self.out.push_str(r"\{"),
                other => self.out.push(other),
            }
        }
        if self.depth == 0 { Ok(()) } else { Err("missing )") }
    }

    /// After `(`: the flags are RE2's, names are left to the compiler.
    fn open_group(&mut self) -> Result<(), &'static str> {
        self.depth += 1;
        self.out.push('(');
        let Some(special) = self.rest.strip_prefix('?') else { return Ok(()) };
        if special.starts_with(['P', '<']) {
            self.copy(2);
            return Ok(());
        }
        let length = special.find([':', ')']).ok_or("missing argument to group flags")?;
        if !special.bytes().take(length).all(|flag| b"imsU-".contains(&flag)) {
            return Err("only the group flags i, m, s and U exist, and no look-around");
        }
        // The `)` of `(?i)` is left for the caller, who counts it.
        self.copy(1 + length);
        if self.rest.starts_with(':') {
            self.copy(1);
        }
        Ok(())
    }

    /// After `\` outside of `[…]`.
    fn escape(&mut self) -> Result<(), &'static str> {
        match self.next().ok_or("trailing \\")? {
            'Q' => {
                let quoted = self.rest.find(r"\E").unwrap_or(self.rest.len());
                let text = self.take(quoted);
                self.out.push_str(&regex::escape(text));
                self.take(2);
            }
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'C' => self.out.push_str("(?s-u:.)"),
            other => {
                self.escaped(other);
            }
        }
        Ok(())
    }

    /// What an escape means both inside and outside of `[…]`. Is it one character?
    fn escaped(&mut self, letter: char) -> bool {
        let class = match letter {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[\t\n\f\r\x20]",
            'S' => r"[^\t\n\f\r\x20]",
            'p' | 'P' => {
                self.property(letter == 'P');
                return false;
            }
            'x' => {
                self.out.push_str(r"\x");
                self.copy_argument(2);
                return true;
            }
            // To the `regex` crate these with a backslash are the bounds of a word.
            '<' | '>' => {
                self.out.push(letter);
                return true;
            }
            _ => {
                self.out.extend(['\\', letter]);
                return true;
            }
        };
        self.out.push_str(class);
        false
    }

    /// After `\p` or `\P`.
    fn property(&mut self, negated: bool) {
        let rest = self.rest.strip_prefix("{^");
        self.out.push_str(if negated == rest.is_some() { r"\p" } else { r"\P" });
        if let Some(rest) = rest {
            self.out.push('{');
            self.rest = rest;
            let length = rest.find('}').map_or(rest.len(), |end| end + 1);
            self.copy(length);
        } else {
            self.copy_argument(self.rest.chars().next().map_or(0, char::len_utf8));
        }
    }

    /// What is in braces, which are no repetition here, or else so many bytes.
    fn copy_argument(&mut self, length: usize) {
        let braced = self.rest.starts_with('{').then(|| self.rest.find('}')).flatten();
        self.copy(braced.map_or(length, |end| end + 1));
    }

    /// After `[`.
    fn class(&mut self) -> Result<(), &'static str> {
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        let mut first = true;
        loop {
            if self.rest.starts_with(']') && !first {
                self.copy(1);
                return Ok(());
            }
            first = false;
            let is_character = self.class_item()?;
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if is_character && is_range {
                self.copy(1);
                self.class_item()?;
            }
        }
    }

    /// One character or one named class inside of `[…]`. Is it a character, which may begin a range?
    fn class_item(&mut self) -> Result<bool, &'static str> {
        if self.rest.starts_with("[:")
            && let Some(end) = self.rest.find(":]")
        {
            self.copy(end + 2);
            return Ok(false);
        }
        match self.next().ok_or("missing closing ]")? {
            '\\' => {
                let letter = self.next().ok_or("trailing \\")?;
                Ok(self.escaped(letter))
            }
            plain => {
                if plain.is_ascii_punctuation() && !matches!(plain, '<' | '>') {
                    self.out.push('\\');
                }
                self.out.push(plain);
                Ok(true)
            }
        }
    }
}

/// Is this, after `{`, the rest of `{n}`, `{n,}` or `{n,m}`?
fn starts_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        Some((least, most)) => number(least) && (most.is_empty() || number(most)),
        None => number(inside),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "re2_tests.rs"]
mod tests;
