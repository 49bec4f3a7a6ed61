//! Command operators: what each reads from an [`Entry`].

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderName, Version};

use crate::access_log::entry::Entry;
use crate::access_log::headers::HeaderSource;
use crate::access_log::time::TimeFormat;
use crate::{GrpcStatus, Reason, ResponseFlags};

pub(super) type TextField = for<'a> fn(&Entry<'a>) -> Option<&'a str>;
pub(super) type NumberField = fn(&Entry<'_>) -> Option<u64>;
pub(super) type AddressField = fn(&Entry<'_>) -> Option<SocketAddr>;

/// One operator of a format, ready to be evaluated.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) operator: Operator,
    /// Longest text to print, in bytes (`:Z`).
    pub(super) max_length: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Operator {
    StartTime(TimeFormat),
    Header(HeaderLookup),
    Text(TextField),
    Number(NumberField),
    Address(AddressField, AddressPart),
    Flags {
        long: bool,
    },
    /// Known when the format is compiled, such as the host name.
    Constant(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressPart {
    Whole,
    WithoutPort,
    Port,
}

/// The message whose headers an operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response,
    Trailers,
}

/// `%REQ(main?alternative)%` and its siblings.
#[derive(Debug, Clone)]
pub(super) struct HeaderLookup {
    pub(super) message: Message,
    pub(super) main: HeaderKey,
    pub(super) alternative: Option<HeaderKey>,
    /// Cut the value off at its question mark (`%REQ_WITHOUT_QUERY(...)%`).
    pub(super) without_query: bool,
}

#[derive(Debug, Clone)]
pub(super) enum HeaderKey {
    /// A pseudo-header, or a header that the proxy itself would set.
    Field(TextField),
    /// `:STATUS` of the response.
    Status,
    /// `X-ENVOY-UPSTREAM-SERVICE-TIME`: measured by the proxy, else as the response says.
    ServiceTime(Named),
    Named(Named),
}

/// A header by name, and its place among those that the format captures.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: HeaderName,
    pub(super) slot: usize,
}

/// What an operator evaluates to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Missing,
    /// Bytes of any kind: to be escaped.
    Text(&'a [u8]),
    Number(u64),
    /// A number that is a string in JSON, since it stands for a header.
    Digits(u64),
    /// An address with its port.
    Address(SocketAddr),
    /// An address without its port.
    Ip(SocketAddr),
    Time(&'a TimeFormat, SystemTime),
    Flags {
        flags: ResponseFlags,
        long: bool,
    },
}

impl Command {
    pub(super) fn value<'a>(&'a self, entry: &Entry<'a>) -> Value<'a> {
        match (self.operator.value(entry), self.max_length) {
            (Value::Text(bytes), Some(max)) => Value::Text(truncate(bytes, max)),
            (value, _) => value,
        }
    }
}

impl Operator {
    /// The operator `name`, if it is one that takes no argument.
    pub(super) fn without_argument(name: &str) -> Option<Self> {
        text_operator(name)
            .map(Self::Text)
            .or_else(|| number_operator(name).map(Self::Number))
            .or_else(|| address_operator(name).map(|(field, part)| Self::Address(field, part)))
            .or_else(|| match name {
                "START_TIME" => Some(Self::StartTime(TimeFormat::default())),
                "RESPONSE_FLAGS" => Some(Self::Flags { long: false }),
                "RESPONSE_FLAGS_LONG" => Some(Self::Flags { long: true }),
                _ => None,
            })
    }

    /// Whether a length (`:Z`) makes sense after it.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Text(_) | Self::Constant(_))
    }

    fn value<'a>(&'a self, entry: &Entry<'a>) -> Value<'a> {
        let value = match self {
            Self::StartTime(format) => Some(Value::Time(format, entry.start_time)),
            Self::Header(lookup) => lookup.value(entry),
            Self::Text(field) => field(entry).map(|text| Value::Text(text.as_bytes())),
            Self::Number(field) => field(entry).map(Value::Number),
            Self::Address(field, part) => field(entry).map(|address| match part {
                AddressPart::Whole => Value::Address(address),
                AddressPart::WithoutPort => Value::Ip(address),
                AddressPart::Port => Value::Number(u64::from(address.port())),
            }),
            Self::Flags { long } => Some(Value::Flags { flags: entry.response_flags, long: *long }),
            Self::Constant(text) => Some(Value::Text(text.as_bytes())),
        };
        value.unwrap_or(Value::Missing)
    }
}

impl HeaderLookup {
    fn value<'a>(&self, entry: &Entry<'a>) -> Option<Value<'a>> {
        let headers = match self.message {
            Message::Request => entry.request_headers,
            Message::Response => entry.response_headers,
            Message::Trailers => entry.response_trailers,
        };
        let value = self
            .main
            .value(entry, headers)
            .or_else(|| self.alternative.as_ref().and_then(|key| key.value(entry, headers)))?;
        match value {
            Value::Text(bytes) if self.without_query => {
                Some(Value::Text(bytes.split(|byte| *byte == b'?').next().unwrap_or(bytes)))
            }
            value => Some(value),
        }
    }
}

impl HeaderKey {
    /// The request's pseudo-header or proxy-made header with this (lower case) name.
    pub(super) fn request_field(name: &str) -> Option<Self> {
        let field: TextField = match name {
            ":method" => |entry| entry.method,
            ":path" => |entry| entry.path,
            ":authority" | "host" => |entry| entry.authority,
            ":scheme" => |entry| entry.scheme,
            // Never from the message: a client could hide the path that it really asked for.
            "x-envoy-original-path" => |entry| entry.original_path,
            _ => return None,
        };
        Some(Self::Field(field))
    }

    fn value<'a>(&self, entry: &Entry<'a>, headers: HeaderSource<'a>) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => field(entry).map(|text| Value::Text(text.as_bytes())),
            Self::Status => (entry.response_code != 0).then(|| Value::Digits(u64::from(entry.response_code))),
            Self::ServiceTime(named) => {
                millis(entry.upstream_service_time).map(Value::Digits).or_else(|| named.value(headers))
            }
            Self::Named(named) => named.value(headers),
        }
    }
}

impl Named {
    fn value<'a>(&self, headers: HeaderSource<'a>) -> Option<Value<'a>> {
        headers.get(&self.name, self.slot).map(Value::Text)
    }
}

fn text_operator(name: &str) -> Option<TextField> {
    Some(match name {
        "PROTOCOL" => |entry| entry.protocol.map(protocol_name),
        "RESPONSE_CODE_DETAILS" => |entry| entry.reason.map(Reason::details),
        "CONNECTION_TERMINATION_DETAILS" => |entry| entry.connection_termination_details,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => |entry| entry.upstream_transport_failure_reason,
        // Envoy's UPSTREAM_CLUSTER is the alternative statistics name, which Postern has not.
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => |entry| entry.upstream_cluster,
        "REQUESTED_SERVER_NAME" => |entry| entry.requested_server_name,
        "ROUTE_NAME" => |entry| entry.route_name,
        "DOWNSTREAM_TLS_VERSION" => |entry| entry.downstream_tls_version,
        "DOWNSTREAM_TLS_CIPHER" => |entry| entry.downstream_tls_cipher,
        "DOWNSTREAM_PEER_SUBJECT" => |entry| entry.downstream_peer_subject,
        "GRPC_STATUS" => |entry| entry.grpc_status.map(GrpcStatus::camel_name),
        _ => return None,
    })
}

fn number_operator(name: &str) -> Option<NumberField> {
    Some(match name {
        "RESPONSE_CODE" => |entry| Some(u64::from(entry.response_code)),
        "BYTES_RECEIVED" => |entry| Some(entry.bytes_received),
        "BYTES_SENT" => |entry| Some(entry.bytes_sent),
        "DURATION" => |entry| millis(entry.duration),
        "REQUEST_DURATION" => |entry| millis(entry.request_duration),
        "RESPONSE_DURATION" => |entry| millis(entry.response_duration),
        "RESPONSE_TX_DURATION" => |entry| {
            millis(entry.duration.zip(entry.response_duration).map(|(all, first)| all - first.min(all)))
        },
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => |entry| Some(u64::from(entry.upstream_request_attempt_count)),
        "GRPC_STATUS_NUMBER" => |entry| entry.grpc_status.map(|status| u64::from(status.code())),
        "CONNECTION_ID" => |entry| entry.connection_id,
        _ => return None,
    })
}

fn address_operator(name: &str) -> Option<(AddressField, AddressPart)> {
    let (base, part) = if let Some(base) = name.strip_suffix("_ADDRESS_WITHOUT_PORT") {
        (base, AddressPart::WithoutPort)
    } else if let Some(base) = name.strip_suffix("_ADDRESS") {
        (base, AddressPart::Whole)
    } else if let Some(base) = name.strip_suffix("_PORT") {
        (base, AddressPart::Port)
    } else {
        let field: AddressField = |entry| entry.upstream_host;
        return (name == "UPSTREAM_HOST").then_some((field, AddressPart::Whole));
    };
    let field: AddressField = match base {
        "UPSTREAM_LOCAL" => |entry| entry.upstream_local_address,
        "UPSTREAM_REMOTE" => |entry| entry.upstream_host,
        "DOWNSTREAM_LOCAL" => |entry| entry.downstream_local_address,
        "DOWNSTREAM_REMOTE" => |entry| entry.downstream_remote_address,
        "DOWNSTREAM_DIRECT_REMOTE" => |entry| entry.downstream_direct_remote_address,
        _ => return None,
    };
    Some((field, part))
}

/// The protocol's name as Envoy prints it.
fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

fn millis(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// At most `max` bytes of `bytes`, without cutting a UTF-8 character in two.
fn truncate(bytes: &[u8], max: usize) -> &[u8] {
    if bytes.len() <= max {
        return bytes;
    }
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (max.saturating_sub(3)..=max).rev().find(is_start).unwrap_or(max);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_keeps_characters_whole() {
        assert_eq!(truncate(b"abcdef", 3), b"abc");
        assert_eq!(truncate(b"abc", 3), b"abc");
        assert_eq!(truncate("gr\u{fc}n".as_bytes(), 3), b"gr");
        assert_eq!(truncate("\u{1f600}x".as_bytes(), 3), b"");
        assert_eq!(truncate(&[0x80; 8], 5), &[0x80; 5]);
    }

    #[test]
    fn addresses_come_whole_in_part_and_as_port() {
        let part = |name: &str| address_operator(name).map(|(_, part)| part);
        assert_eq!(part("DOWNSTREAM_REMOTE_ADDRESS"), Some(AddressPart::Whole));
        assert_eq!(part("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"), Some(AddressPart::WithoutPort));
        assert_eq!(part("DOWNSTREAM_LOCAL_PORT"), Some(AddressPart::Port));
        assert_eq!(part("UPSTREAM_HOST"), Some(AddressPart::Whole));
        assert_eq!(part("SIDEWAYS_ADDRESS"), None);
    }
}
