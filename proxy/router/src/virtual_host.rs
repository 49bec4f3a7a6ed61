//! The routes of one virtual host.

use postern_snapshot::model::HttpsRedirect;
use smallvec::SmallVec;

use crate::{RequestHead, compile::Entry, trie::Trie};

/// A compiled virtual host: its matches in order, and an index by path.
///
/// Every entry is found by one or more keys of its path condition: an exact path, a prefix, the literal beginning of
/// a regular expression, or the empty prefix. The index gives the entries whose key fits the path, and these are
/// tested in their order until one holds. So a lookup costs a walk along the path, and then what the few entries
/// cost that share a beginning with it. It does not grow with the number of exact paths and prefixes. It does grow,
/// linearly, with
///
/// * entries that have the same path and differ in other conditions, and
/// * regular expressions with the same literal beginning, by a few nanoseconds each where length, end or a literal
///   in the middle rules them out, and by a run of the expression where not.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    https_redirect: Option<HttpsRedirect>,
    entries: Box<[Entry]>,
    by_path: Trie,
    /// Of the entries that ignore the case of the path.
    by_path_ignoring_case: Trie,
}

impl VirtualHost {
    pub(crate) fn new(https_redirect: Option<HttpsRedirect>, entries: Box<[Entry]>) -> Self {
        let keys = |ignore_case| {
            let numbered = (0..).zip(&entries);
            let of_case = numbered.filter(|(_, entry)| entry.path.ignores_case() == ignore_case);
            of_case.flat_map(|(number, entry)| entry.path.keys(number)).collect()
        };
        let by_path = Trie::new(keys(false), false);
        let by_path_ignoring_case = Trie::new(keys(true), true);
        Self { https_redirect, entries, by_path, by_path_ignoring_case }
    }

    /// Where the request is sent instead of to a route. One that came over HTTPS already, to us or to a trusted proxy in
    /// front, is not: it would come back for ever (Envoy).
    pub(crate) fn https_redirect(&self, head: &RequestHead<'_>) -> Option<HttpsRedirect> {
        self.https_redirect.filter(|_| head.scheme != "https")
    }

    /// The first entry that holds.
    pub(crate) fn find(&self, head: &RequestHead<'_>) -> Option<&Entry> {
        self.candidates(head.path).filter_map(|number| self.entries.get(number as usize)).find(|entry| {
            entry.path.confirms(head.path) && entry.conditions.iter().all(|condition| condition.holds(head))
        })
    }

    fn candidates(&self, path: &str) -> Merged<'_> {
        let mut lists = SmallVec::new();
        self.by_path.walk(path.as_bytes(), |list| lists.push(list));
        self.by_path_ignoring_case.walk(path.as_bytes(), |list| lists.push(list));
        Merged { lists }
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Ascending lists as one ascending list. There are as many as there are keys on the way along one path, so the
/// smallest is found by looking at all.
struct Merged<'a> {
    /// None is empty.
    lists: SmallVec<[&'a [u32]; 8]>,
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let place = self.lists.iter().enumerate().min_by_key(|(_, list)| list.first())?.0;
        let list = self.lists.get_mut(place)?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        if rest.is_empty() {
            self.lists.swap_remove(place);
        }
        Some(*first)
    }
}
