//! Where in an object the translation is: a path that costs nothing until there is something to say.

use postern_api::finding::FieldPath;
use postern_api::meta::ObjectKey;

/// A place in an object. Each step refers to the one before, on the stack; the text of the path is made only
/// for a finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    object: &'a ObjectKey,
    parent: Option<&'a Self>,
    step: Step<'a>,
    /// Steps further down are not of this object.
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Whole,
    Field(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The whole object.
    pub(crate) const fn object(object: &'a ObjectKey) -> Self {
        Self { object, parent: None, step: Step::Whole, closed: false }
    }

    /// A field, or an entry of a map.
    pub(crate) const fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At { object: self.object, parent: Some(self), step: Step::Field(name), closed: self.closed }
    }

    /// An element of a list.
    pub(crate) const fn index(&self, index: usize) -> At<'_> {
        At { object: self.object, parent: Some(self), step: Step::Index(index), closed: self.closed }
    }

    /// This place, also for everything below it: what was translated has other fields than what it was translated from,
    /// whose place this is.
    pub(crate) const fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// The object that this is a place in.
    pub(crate) const fn key(&self) -> &'a ObjectKey {
        self.object
    }

    /// As text.
    pub(crate) fn path(&self) -> FieldPath {
        let parent = self.parent.map_or_else(FieldPath::default, At::path);
        if self.parent.is_some_and(|parent| parent.closed) {
            return parent;
        }
        match self.step {
            Step::Whole => parent,
            Step::Field(name) => parent.field(name),
            Step::Index(index) => parent.index(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_api::istio::gateway::Gateway;

    #[test]
    fn reads_like_the_yaml() {
        let key = ObjectKey::new::<Gateway>("shop", "web");
        let root = At::object(&key);
        let servers = root.field("spec");
        let servers = servers.field("servers");
        assert_eq!(servers.index(1).field("tls").path().as_str(), "spec.servers[1].tls");
        assert_eq!(root.path().as_str(), "");
        let closed = root.field("spec");
        let closed = closed.field("rules").closed();
        assert_eq!(closed.index(1).field("route").path().as_str(), "spec.rules");
    }
}
