//! What is answered to what.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

/// No `/bytes/N` is larger.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Answers in the name of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    name: Rc<str>,
}

/// The connection is to be broken.
#[derive(Debug)]
pub(crate) struct Close;

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on demand")
    }
}

impl std::error::Error for Close {}

impl Answer {
    pub(crate) const fn new(name: Rc<str>) -> Self {
        Self { name }
    }

    /// The answer to this request.
    pub(crate) async fn to(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Close> {
        let (head, body) = request.into_parts();
        let demand = Demand::of(head.uri.path());
        if demand.close {
            return Err(Close);
        }
        let body = body.collect().await.map_err(|_| Close)?.to_bytes();
        if let Some(delay) = demand.delay {
            tokio::time::sleep(delay).await;
        }
        let mut response = Response::new(match demand.bytes {
            Some(count) => Full::new(vec![b'x'; count.min(MAX_BYTES)].into()),
            None => Full::new(self.describe(&head, &body).into()),
        });
        *response.status_mut() = demand.status.unwrap_or(StatusCode::OK);
        let kind = if demand.bytes.is_some() { "application/octet-stream" } else { "application/json" };
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        Ok(response)
    }

    fn describe(&self, head: &http::request::Parts, body: &Bytes) -> String {
        let description = serde_json::json!({
            "service": &*self.name,
            "pod": std::env::var("POD_NAME").unwrap_or_default(),
            "protocol": format!("{:?}", head.version),
            "method": head.method.as_str(),
            "path": head.uri.path(),
            "query": head.uri.query(),
            "authority": head.uri.authority().map(http::uri::Authority::as_str),
            "headers": describe_headers(&head.headers),
            "body": String::from_utf8_lossy(body),
        });
        format!("{description:#}\n")
    }
}

fn describe_headers(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut described = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in headers {
        described
            .entry(name.as_str())
            .or_default()
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    described
}

/// What a path asks for besides the usual answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Demand {
    status: Option<StatusCode>,
    delay: Option<Duration>,
    bytes: Option<usize>,
    close: bool,
}

impl Demand {
    fn of(path: &str) -> Self {
        let mut demand = Self::default();
        let mut segments = path.split('/');
        while let Some(segment) = segments.next() {
            match segment {
                "status" => demand.status = segments.next().and_then(|code| code.parse().ok()),
                "delay" => {
                    demand.delay = segments.next().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
                }
                "bytes" => demand.bytes = segments.next().and_then(|count| count.parse().ok()),
                "close" => demand.close = true,
                _ => {}
            }
        }
        demand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_stand_anywhere_in_a_path() {
        assert_eq!(Demand::of("/app/hello"), Demand::default());
        assert_eq!(
            Demand::of("/app/delay/20/status/503"),
            Demand {
                status: Some(StatusCode::SERVICE_UNAVAILABLE),
                delay: Some(Duration::from_millis(20)),
                ..Demand::default()
            }
        );
        assert_eq!(Demand::of("/bytes/1024").bytes, Some(1024));
        assert!(Demand::of("/x/close").close);
        assert_eq!(Demand::of("/status/abc"), Demand::default());
    }
}
