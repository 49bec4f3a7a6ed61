//! Compiled formats.

use http::HeaderMap;
use serde_json::{Map, Value as Json};

use crate::access_log::command::Command;
use crate::access_log::entry::Entry;
use crate::access_log::error::FormatError;
use crate::access_log::headers::CapturedHeaders;
use crate::access_log::parse::{HeaderNames, Piece, parse};
use crate::access_log::{escape, render};

/// Envoy's default text format (Envoy, "Access logging", default format string).
pub const ENVOY_TEXT_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    r#"%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n"
);

/// Istio's default text format (`meshConfig.accessLogFormat` when `accessLogEncoding` is `TEXT`).
pub const ISTIO_TEXT_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    r#"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "#,
    r#""%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% "#,
    r#"%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "#,
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
);

/// The fields of Istio's default JSON format (`accessLogEncoding: JSON`), with their operators.
pub const ISTIO_JSON_FORMAT: [(&str, &str); 24] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

#[derive(Debug, Clone)]
enum Segment {
    Literal(Box<[u8]>),
    Text(Command),
    /// A whole JSON value.
    JsonValue(Command),
    /// A part of a JSON string.
    JsonText(Command),
}

/// An access log format, compiled: rendering reads no format string and allocates nothing.
#[derive(Debug, Clone)]
pub struct Format {
    segments: Vec<Segment>,
    headers: HeaderNames,
}

impl Format {
    /// Compiles a format string of Envoy's command operators (`text_format_source`). A line break
    /// is added at its end if there is none. `hostname` is what `%HOSTNAME%` prints.
    ///
    /// # Errors
    /// An unknown operator, a malformed one, or one with an argument that it does not take; the
    /// error says which and where.
    pub fn text(format: &str, hostname: &str) -> Result<Self, FormatError> {
        let mut headers = HeaderNames::default();
        let mut builder = Builder::default();
        for piece in parse(format, hostname, &mut headers)? {
            match piece {
                Piece::Literal(text) => builder.literal(text.as_bytes()),
                Piece::Command(command) => builder.push(Segment::Text(command)),
            }
        }
        if !format.ends_with('\n') {
            builder.literal(b"\n");
        }
        Ok(Self { segments: builder.finish(), headers })
    }

    /// Compiles a JSON format (`json_format`) of flat fields: names and format strings. Each entry
    /// becomes one object on a line of its own, with its fields in the order of their names. A
    /// field that is a single operator has the operator's type (a number is a number, what is
    /// missing is `null`); any other is a string.
    ///
    /// # Errors
    /// As [`Format::text`], with the name of the field.
    pub fn json<N, F>(fields: impl IntoIterator<Item = (N, F)>, hostname: &str) -> Result<Self, FormatError>
    where
        N: Into<String>,
        F: Into<String>,
    {
        let fields = fields.into_iter().map(|(name, format)| (name.into(), Json::String(format.into())));
        Self::json_template(&fields.collect(), hostname)
    }

    /// As [`Format::json`] with nested objects and lists, as Envoy allows them. Strings are format
    /// strings; numbers, booleans and null stand for themselves.
    ///
    /// # Errors
    /// As [`Format::text`], with the path of the field.
    pub fn json_template(template: &Map<String, Json>, hostname: &str) -> Result<Self, FormatError> {
        let mut compiler =
            JsonCompiler { hostname, headers: HeaderNames::default(), builder: Builder::default() };
        compiler.object(template)?;
        compiler.builder.literal(b"\n");
        Ok(Self { segments: compiler.builder.finish(), headers: compiler.headers })
    }

    /// Appends one line for `entry`, with its line break.
    pub fn render(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(bytes) => out.extend_from_slice(bytes),
                Segment::Text(command) => render::text(out, command.value(entry)),
                Segment::JsonValue(command) => render::json_value(out, command.value(entry)),
                Segment::JsonText(command) => render::json_text(out, command.value(entry)),
            }
        }
    }

    /// Keeps the values of those request headers that this format prints.
    #[must_use]
    pub fn capture_request(&self, headers: &HeaderMap) -> CapturedHeaders {
        CapturedHeaders::capture(&self.headers.request, headers)
    }

    /// Keeps the values of those response headers that this format prints.
    #[must_use]
    pub fn capture_response(&self, headers: &HeaderMap) -> CapturedHeaders {
        CapturedHeaders::capture(&self.headers.response, headers)
    }

    /// Keeps the values of those response trailers that this format prints.
    #[must_use]
    pub fn capture_trailers(&self, trailers: &HeaderMap) -> CapturedHeaders {
        CapturedHeaders::capture(&self.headers.trailers, trailers)
    }
}

/// Collects segments and joins adjacent literals.
#[derive(Debug, Default)]
struct Builder {
    segments: Vec<Segment>,
    literal: Vec<u8>,
}

impl Builder {
    fn literal(&mut self, bytes: &[u8]) {
        self.literal.extend_from_slice(bytes);
    }

    fn push(&mut self, segment: Segment) {
        self.end_literal();
        self.segments.push(segment);
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            let bytes = std::mem::take(&mut self.literal).into_boxed_slice();
            self.segments.push(Segment::Literal(bytes));
        }
    }

    fn finish(mut self) -> Vec<Segment> {
        self.end_literal();
        self.segments
    }
}

struct JsonCompiler<'a> {
    hostname: &'a str,
    headers: HeaderNames,
    builder: Builder,
}

impl JsonCompiler<'_> {
    fn object(&mut self, fields: &Map<String, Json>) -> Result<(), FormatError> {
        self.builder.literal(b"{");
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                self.builder.literal(b",");
            }
            self.string(name.as_bytes());
            self.builder.literal(b":");
            self.value(value).map_err(|error| in_field(name, error))?;
        }
        self.builder.literal(b"}");
        Ok(())
    }

    fn list(&mut self, values: &[Json]) -> Result<(), FormatError> {
        self.builder.literal(b"[");
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.builder.literal(b",");
            }
            self.value(value).map_err(|error| in_field(&index.to_string(), error))?;
        }
        self.builder.literal(b"]");
        Ok(())
    }

    fn value(&mut self, value: &Json) -> Result<(), FormatError> {
        match value {
            Json::Object(fields) => self.object(fields),
            Json::Array(values) => self.list(values),
            Json::String(format) => self.format(format),
            scalar => {
                self.builder.literal(scalar.to_string().as_bytes());
                Ok(())
            }
        }
    }

    fn format(&mut self, format: &str) -> Result<(), FormatError> {
        let mut pieces = parse(format, self.hostname, &mut self.headers)?;
        if pieces.len() == 1
            && let Some(Piece::Command(command)) = pieces.pop_if(|piece| matches!(piece, Piece::Command(_)))
        {
            self.builder.push(Segment::JsonValue(command));
            return Ok(());
        }
        self.builder.literal(b"\"");
        for piece in pieces {
            match piece {
                Piece::Literal(text) => escape::json(&mut self.builder.literal, text.as_bytes()),
                Piece::Command(command) => self.builder.push(Segment::JsonText(command)),
            }
        }
        self.builder.literal(b"\"");
        Ok(())
    }

    fn string(&mut self, text: &[u8]) {
        self.builder.literal(b"\"");
        escape::json(&mut self.builder.literal, text);
        self.builder.literal(b"\"");
    }
}

fn in_field(name: &str, error: FormatError) -> FormatError {
    match error {
        FormatError::Field { field, source } => {
            FormatError::Field { field: format!("{name}.{field}"), source }
        }
        error => FormatError::Field { field: name.to_owned(), source: Box::new(error) },
    }
}
