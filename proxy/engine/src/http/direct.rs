//! Answers that the configuration gives itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use postern_snapshot::model::{self, ResponseBody};

/// A compiled [`model::DirectResponse`].
#[derive(Debug)]
pub(super) struct DirectResponse {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) content_type: Option<HeaderValue>,
}

impl DirectResponse {
    /// # Errors
    /// The status is none of 200 to 599, or the body is not base64.
    pub(super) fn compile(from: &model::DirectResponse) -> Result<Self, String> {
        let status = StatusCode::from_u16(from.status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| format!("direct response: {} is not a status of 200 to 599", from.status))?;
        let (body, content_type) = match &from.body {
            None => (Bytes::new(), None),
            Some(ResponseBody::Text(text)) => (Bytes::from(text.clone()), Some("text/plain")),
            Some(ResponseBody::Base64(text)) => {
                let bytes = STANDARD
                    .decode(text)
                    .map_err(|error| format!("direct response: the body is not base64: {error}"))?;
                (Bytes::from(bytes), Some("application/octet-stream"))
            }
        };
        Ok(Self { status, body, content_type: content_type.map(HeaderValue::from_static) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn compile(status: u16, body: Option<ResponseBody>) -> Result<DirectResponse, String> {
        DirectResponse::compile(&model::DirectResponse { status, body })
    }

    #[test]
    fn text_and_bytes() {
        let text = compile(418, Some(ResponseBody::Text("tea".into()))).unwrap();
        assert_eq!((text.status.as_u16(), &text.body[..]), (418, &b"tea"[..]));
        assert_eq!(text.content_type.unwrap(), "text/plain");
        let bytes = compile(200, Some(ResponseBody::Base64("AP8=".into()))).unwrap();
        assert_eq!(&bytes.body[..], b"\x00\xff");
        assert_eq!(bytes.content_type.unwrap(), "application/octet-stream");
        assert!(compile(204, None).unwrap().body.is_empty());
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        assert!(compile(199, None).is_err());
        assert!(compile(600, None).is_err());
        assert!(compile(200, Some(ResponseBody::Base64("*".into()))).is_err());
    }
}
