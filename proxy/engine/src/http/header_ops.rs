//! Header changes of routes and targets, with names and values parsed once.

use http::{HeaderMap, HeaderName, HeaderValue};
use postern_snapshot::model;

/// Changes to headers: remove, then set, then add.
#[derive(Debug, Default)]
pub(super) struct HeaderOps {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
}

impl HeaderOps {
    /// # Errors
    /// A name or value is not one that HTTP allows (RFC 9110 section 5); the text says which.
    pub(super) fn compile(from: &model::HeaderOps) -> Result<Self, String> {
        Ok(Self {
            remove: from.remove.iter().map(|n| name(n)).collect::<Result<_, _>>()?,
            set: fields(&from.set)?,
            add: fields(&from.add)?,
        })
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

fn fields(from: &[(String, String)]) -> Result<Box<[(HeaderName, HeaderValue)]>, String> {
    let field = |(n, v): &(String, String)| {
        let value =
            HeaderValue::from_str(v).map_err(|_| format!("header {n}: {v:?} is not a valid value"))?;
        Ok((name(n)?, value))
    };
    from.iter().map(field).collect()
}

fn name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a valid header name"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn removes_then_sets_then_adds() {
        let ops = HeaderOps::compile(&model::HeaderOps {
            remove: vec!["x-both".into(), "x-gone".into()],
            set: vec![("x-set".into(), "new".into())],
            add: vec![("x-both".into(), "1".into()), ("x-set".into(), "more".into())],
        })
        .unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-both", "0"), ("x-gone", "0"), ("x-set", "old"), ("x-set", "older")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        ops.apply(&mut headers);
        let all = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("x-both"), ["1"]);
        assert_eq!(all("x-set"), ["new", "more"]);
        assert!(!headers.contains_key("x-gone"));
    }

    #[test]
    fn what_http_does_not_allow_is_refused() {
        for (name, value) in [(":path", "/"), ("x y", "1"), ("x-a", "a\nb")] {
            let from = model::HeaderOps { set: vec![(name.into(), value.into())], ..Default::default() };
            assert!(HeaderOps::compile(&from).unwrap_err().contains(name));
        }
    }
}
