//! The status code of a gRPC call.

/// A gRPC status code (0 to 16).
///
/// Whatever else an upstream sends counts as `UNKNOWN`, as the gRPC specification tells clients to
/// read it; that also keeps the number of metric series bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrpcStatus(u8);

/// Names by code: as in Envoy's `CAMEL_STRING`, and as in the specification.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

impl GrpcStatus {
    /// `OK`
    pub const OK: Self = Self(0);
    /// `CANCELLED`
    pub const CANCELLED: Self = Self(1);
    /// `UNKNOWN`
    pub const UNKNOWN: Self = Self(2);
    /// `DEADLINE_EXCEEDED`
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// `PERMISSION_DENIED`
    pub const PERMISSION_DENIED: Self = Self(7);
    /// `RESOURCE_EXHAUSTED`
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// `UNIMPLEMENTED`
    pub const UNIMPLEMENTED: Self = Self(12);
    /// `INTERNAL`
    pub const INTERNAL: Self = Self(13);
    /// `UNAVAILABLE`
    pub const UNAVAILABLE: Self = Self(14);
    /// `UNAUTHENTICATED`
    pub const UNAUTHENTICATED: Self = Self(16);

    /// The status with this code; `UNKNOWN` if the specification has no such code.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        if code <= 16 { Self(code as u8) } else { Self::UNKNOWN }
    }

    /// Reads the value of a `grpc-status` header or trailer; `UNKNOWN` if it is no code of the
    /// specification.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Self {
        let code = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
        code.map_or(Self::UNKNOWN, Self::from_code)
    }

    /// The status that a client sees when the proxy or upstream answers a gRPC call with plain HTTP
    /// (gRPC, "HTTP to gRPC Status Code Mapping").
    #[must_use]
    pub const fn from_http(status: u16) -> Self {
        match status {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// The code, 0 to 16.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The name as Envoy logs it, such as `DeadlineExceeded`.
    #[must_use]
    pub fn camel_name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).map_or("Unknown", |names| names.0)
    }

    /// The name in the specification, such as `DEADLINE_EXCEEDED`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).map_or("UNKNOWN", |names| names.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_outside_the_specification_are_unknown() {
        assert_eq!(GrpcStatus::from_header(b"0"), GrpcStatus::OK);
        assert_eq!(GrpcStatus::from_header(b"16"), GrpcStatus::UNAUTHENTICATED);
        for odd in [&b"17"[..], b"-1", b"", b"ok", b"\xff", b"99999999999999999999"] {
            assert_eq!(GrpcStatus::from_header(odd), GrpcStatus::UNKNOWN);
        }
    }

    #[test]
    fn names_follow_the_codes() {
        assert_eq!(GrpcStatus::from_code(4).camel_name(), "DeadlineExceeded");
        assert_eq!(GrpcStatus::from_code(14).name(), "UNAVAILABLE");
    }

    #[test]
    fn plain_http_answers_map_as_grpc_says() {
        assert_eq!(GrpcStatus::from_http(404), GrpcStatus::UNIMPLEMENTED);
        assert_eq!(GrpcStatus::from_http(503), GrpcStatus::UNAVAILABLE);
        assert_eq!(GrpcStatus::from_http(500), GrpcStatus::UNKNOWN);
    }
}
