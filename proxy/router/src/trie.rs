//! Byte strings to lists of numbers: which keys is a path equal to, and which does it start with?

use std::{collections::VecDeque, ops::Range};

/// How a key is compared with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyKind {
    /// The path starts with it.
    Prefix,
    /// The path is it.
    Exact,
}

/// A key on its way into a [`Trie`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) text: Box<[u8]>,
    pub(crate) kind: KeyKind,
    /// What is found by it.
    pub(crate) value: u32,
}

/// A radix tree in five flat arrays. One walk from the root to the end of a path finds every key that fits, at a
/// cost that depends on the path and hardly on the number of keys.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    /// The root is the first; the children of one node stand together.
    nodes: Box<[Node]>,
    /// The first byte of each node's label, sorted among siblings.
    firsts: Box<[u8]>,
    labels: Box<[u8]>,
    values: Box<[u32]>,
    /// Without regard to ASCII case; the keys are lower case then.
    ignore_case: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// In `labels`: the bytes from the parent to here.
    label: Span,
    /// In `nodes` and `firsts`.
    children: Span,
    /// In `values`, ascending: of the prefix keys that end here.
    prefixes: Span,
    /// In `values`, ascending: of the exact keys that end here.
    exacts: Span,
}

/// A range of one of the arrays. They stay far below 4 GiB: a part of a snapshot does.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of<T>(self, array: &[T]) -> &[T] {
        array.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Trie {
    /// A tree of these keys. Those of a tree that ignores ASCII case are stored in lower case.
    pub(crate) fn new(mut keys: Vec<Key>, ignore_case: bool) -> Self {
        if ignore_case {
            keys.iter_mut().for_each(|key| key.text.make_ascii_lowercase());
        }
        keys.sort_unstable();
        keys.dedup();
        let mut builder = Builder { keys, ..Builder::default() };
        builder.build();
        Self {
            nodes: builder.nodes.into(),
            firsts: builder.firsts.into(),
            labels: builder.labels.into(),
            values: builder.values.into(),
            ignore_case,
        }
    }

    /// Calls `found` with the values, ascending, of each prefix key that the path starts with, shortest first, and
    /// then of the exact key that it is. Empty lists are left out.
    pub(crate) fn walk<'t>(&'t self, path: &[u8], mut found: impl FnMut(&'t [u32])) {
        let mut rest = path;
        let mut next = self.nodes.first();
        while let Some(node) = next {
            let Some(after) = self.strip_label(node, rest) else { return };
            rest = after;
            if !node.prefixes.is_empty() {
                found(node.prefixes.of(&self.values));
            }
            let Some(first) = rest.first() else {
                if !node.exacts.is_empty() {
                    found(node.exacts.of(&self.values));
                }
                return;
            };
            next = self.child(node, *first);
        }
    }

    fn strip_label<'p>(&self, node: &Node, path: &'p [u8]) -> Option<&'p [u8]> {
        let label = node.label.of(&self.labels);
        let (start, rest) = path.split_at_checked(label.len())?;
        let same = if self.ignore_case { start.eq_ignore_ascii_case(label) } else { start == label };
        same.then_some(rest)
    }

    fn child(&self, node: &Node, first: u8) -> Option<&Node> {
        let first = if self.ignore_case { first.to_ascii_lowercase() } else { first };
        let place = node.children.of(&self.firsts).binary_search(&first).ok()?;
        self.nodes.get(node.children.start as usize + place)
    }
}

#[derive(Default)]
struct Builder {
    /// Sorted, so that keys with a common beginning stand together.
    keys: Vec<Key>,
    nodes: Vec<Node>,
    firsts: Vec<u8>,
    labels: Vec<u8>,
    values: Vec<u32>,
}

/// A node that has a place but no content yet.
struct Pending {
    node: usize,
    /// Its keys.
    keys: Range<usize>,
    /// So many of their bytes are in the nodes above.
    depth: usize,
}

impl Builder {
    /// Breadth first, so that siblings are neighbours.
    fn build(&mut self) {
        let mut queue = VecDeque::new();
        if !self.keys.is_empty() {
            self.reserve(0);
            queue.push_back(Pending { node: 0, keys: 0..self.keys.len(), depth: 0 });
        }
        while let Some(pending) = queue.pop_front() {
            self.fill(pending, &mut queue);
        }
    }

    /// Makes a place for a node; returns its number.
    fn reserve(&mut self, first: u8) -> usize {
        self.nodes.push(Node::default());
        self.firsts.push(first);
        self.nodes.len() - 1
    }

    fn fill(&mut self, Pending { node, keys, depth }: Pending, queue: &mut VecDeque<Pending>) {
        let depth_here = self.common_length(keys.clone());
        let label =
            Span { start: self.labels.len() as u32, end: (self.labels.len() + depth_here - depth) as u32 };
        let text = &self.keys[keys.start].text;
        self.labels.extend_from_slice(&text[depth..depth_here]);

        let ends_here = |key: &Key| key.text.len() == depth_here;
        let below = keys.start + self.keys[keys.clone()].partition_point(ends_here);
        let prefixes = self.push_values(keys.start..below, KeyKind::Prefix);
        let exacts = self.push_values(keys.start..below, KeyKind::Exact);

        let first_child = self.nodes.len();
        let mut start = below;
        while start < keys.end {
            let first = self.keys[start].text[depth_here];
            let same = self.keys[start..keys.end].partition_point(|key| key.text[depth_here] == first);
            let child = self.reserve(first);
            queue.push_back(Pending { node: child, keys: start..start + same, depth: depth_here });
            start += same;
        }
        let children = Span { start: first_child as u32, end: self.nodes.len() as u32 };
        self.nodes[node] = Node { label, children, prefixes, exacts };
    }

    /// How many bytes all these keys share: as many as the first and the last, since they are sorted.
    fn common_length(&self, keys: Range<usize>) -> usize {
        match &self.keys[keys] {
            [first, .., last] => first.text.iter().zip(&last.text).take_while(|(a, b)| a == b).count(),
            [only] => only.text.len(),
            [] => 0,
        }
    }

    fn push_values(&mut self, keys: Range<usize>, kind: KeyKind) -> Span {
        let start = self.values.len() as u32;
        let of_kind = self.keys[keys].iter().filter(|key| key.kind == kind).map(|key| key.value);
        self.values.extend(of_kind);
        Span { start, end: self.values.len() as u32 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "trie_tests.rs"]
mod tests;
