//! A regular expression on a whole text, with cheap conditions that spare most runs of it.

use std::{collections::HashMap, sync::Arc};

use memchr::memmem;
use regex::bytes::Regex;
use regex_syntax::{
    ParserBuilder,
    hir::{
        Hir, HirKind,
        literal::{ExtractKind, Extractor, Seq},
    },
};

use crate::re2::{self, PatternProblem};

/// As many alternative beginnings as `(?i)` of four letters has.
const MOST_PREFIXES: usize = 16;

/// A compiled expression. What must be in a text for it to fit is looked for first: a length, a beginning, an end,
/// a piece of the middle. These cost nanoseconds, a run of the expression fifty times as much.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As configured.
    source: Box<str>,
    regex: Regex,
    /// A text that fits begins with one of these; none at all if nothing can fit.
    prefixes: Box<[Box<[u8]>]>,
    suffix: Box<[u8]>,
    inner: Option<memmem::Finder<'static>>,
    shortest: usize,
    longest: usize,
}

impl Pattern {
    fn new(source: &str) -> Result<Self, PatternProblem> {
        let translated = re2::translate(source)?;
        let regex = re2::build(source, &re2::anchored(&translated))?;
        let hir =
            ParserBuilder::new().utf8(false).build().parse(&translated).map_err(|error| {
                PatternProblem::Syntax { pattern: source.to_owned(), why: error.to_string() }
            })?;
        let suffix = literals(&hir, ExtractKind::Suffix);
        Ok(Self {
            source: source.into(),
            regex,
            prefixes: prefixes(&hir),
            suffix: suffix.longest_common_suffix().unwrap_or_default().into(),
            inner: inner_literal(&hir).map(|literal| memmem::Finder::new(literal).into_owned()),
            shortest: hir.properties().minimum_len().unwrap_or(0),
            longest: hir.properties().maximum_len().unwrap_or(usize::MAX),
        })
    }

    /// Does it fit the whole text?
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        (self.shortest..=self.longest).contains(&text.len())
            && text.ends_with(&self.suffix)
            && self.prefixes.iter().any(|prefix| text.starts_with(prefix))
            && self.inner.as_ref().is_none_or(|inner| inner.find(text).is_some())
            && self.regex.is_match(text)
    }

    /// The expression as configured.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// A text that fits begins with one of these.
    pub(crate) fn prefixes(&self) -> &[Box<[u8]>] {
        &self.prefixes
    }
}

fn literals(hir: &Hir, kind: ExtractKind) -> Seq {
    Extractor::new().kind(kind).extract(hir)
}

fn prefixes(hir: &Hir) -> Box<[Box<[u8]>]> {
    let seq = literals(hir, ExtractKind::Prefix);
    match seq.literals() {
        Some(few) if few.len() <= MOST_PREFIXES => {
            few.iter().map(|literal| literal.as_bytes().into()).collect()
        }
        _ => [seq.longest_common_prefix().unwrap_or_default().into()].into(),
    }
}

/// The longest literal that every text that fits contains, other than at its beginning.
fn inner_literal(hir: &Hir) -> Option<&[u8]> {
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let literal = |part| match uncaptured(part).kind() {
        HirKind::Literal(literal) => Some(&*literal.0),
        _ => None,
    };
    let after_beginning =
        parts.iter().skip_while(|part| matches!(part.kind(), HirKind::Look(_) | HirKind::Literal(_)));
    after_beginning.filter_map(literal).max_by_key(|literal| literal.len())
}

fn uncaptured(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => uncaptured(&capture.sub),
        _ => hir,
    }
}

/// The text that every match of a broken expression would have begun with, as far as can be told without
/// understanding it.
pub(crate) fn literal_beginning(pattern: &str) -> &str {
    if pattern.contains('|') || pattern.contains("(?") {
        return "";
    }
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let end = pattern.find(['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$']);
    let Some((literal, rest)) = end.and_then(|end| pattern.split_at_checked(end)) else { return pattern };
    if rest.starts_with(['*', '?', '{']) {
        // The last character may be absent.
        let kept = literal.char_indices().next_back().map_or(0, |(start, _)| start);
        return literal.get(..kept).unwrap_or_default();
    }
    literal
}

/// Compiles each expression once, however many routes have it.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<String, Result<Arc<Pattern>, PatternProblem>>);

impl Patterns {
    pub(crate) fn compile(&mut self, source: &str) -> Result<Arc<Pattern>, PatternProblem> {
        if let Some(known) = self.0.get(source) {
            return known.clone();
        }
        let compiled = Pattern::new(source).map(Arc::new);
        self.0.insert(source.to_owned(), compiled.clone());
        compiled
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "pattern_tests.rs"]
mod tests;
