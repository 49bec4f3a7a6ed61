//! Which of several matches goes first.

use postern_api::istio::virtual_service::{HttpMatchRequest, StringMatch};

/// The Gateway API's precedence, greater first: an exact path, the longest prefix, a method, more headers, more query
/// parameters. What it leaves open: expressions come after prefixes, as in Istio, but before the prefix `/`, which would
/// hide them. What is equal stays in the order of the routes (the oldest first, then by name) and of their rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    path_kind: u8,
    path_length: usize,
    method: bool,
    headers: usize,
    query_params: usize,
}

impl Precedence {
    pub(super) fn of(request: &HttpMatchRequest) -> Self {
        let (path_kind, path_length) = match &request.uri {
            Some(StringMatch::Exact(path)) => (3, path.len()),
            Some(StringMatch::Prefix(path)) => match path.trim_end_matches('/').len() {
                0 => (0, 0),
                length => (2, length),
            },
            Some(StringMatch::Regex(regex)) => (1, regex.len()),
            None => (0, 0),
        };
        Self {
            path_kind,
            path_length,
            method: request.method.is_some(),
            headers: request.headers.len(),
            query_params: request.query_params.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: StringMatch) -> Precedence {
        Precedence::of(&HttpMatchRequest { uri: Some(uri), ..HttpMatchRequest::default() })
    }

    #[test]
    fn paths_go_first() {
        let exact = of(StringMatch::Exact("/a".to_owned()));
        let long = of(StringMatch::Prefix("/a/b".to_owned()));
        let short = of(StringMatch::Prefix("/a".to_owned()));
        let regex = of(StringMatch::Regex("/a.*".to_owned()));
        let root = of(StringMatch::Prefix("/".to_owned()));
        assert!(exact > long && long > short && short > regex && regex > root);
        assert_eq!(short, of(StringMatch::Prefix("/a/".to_owned())));
        let method = Precedence { method: true, ..short };
        let headers = Precedence { headers: 2, ..short };
        assert!(method > headers && headers > Precedence { headers: 1, query_params: 5, ..short });
    }
}
