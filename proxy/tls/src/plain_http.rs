//! Plain HTTP on a TLS port.

/// How many letters a method may have.
const MAX_METHOD: usize = 20;

/// What to answer to HTTP on a TLS port, before closing: a whole response, 400 with a text that names the mistake
/// (Go's words).
pub const PLAIN_HTTP_RESPONSE: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 48\r\n\
    connection: close\r\n\
    \r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// Do the first bytes of a connection look like HTTP? `None`: perhaps, more is needed.
///
/// HTTP/1 begins with a method, upper-case letters by custom, and a space; HTTP/2 with `PRI *`.
pub(crate) fn looks_like_http(bytes: &[u8]) -> Option<bool> {
    let method =
        bytes.iter().take(MAX_METHOD + 1).take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    match bytes.get(method) {
        _ if method > MAX_METHOD => Some(false),
        Some(b' ') => Some(method > 0),
        Some(_) => Some(false),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_recognised() {
        for start in ["GET / HTTP/1.1", "PRI * HTTP/2.0", "VERSION-CONTROL /", "M-SEARCH *"] {
            assert_eq!(looks_like_http(start.as_bytes()), Some(true), "{start}");
        }
        for start in ["", "G", "GET", "VERSION-CONTROL"] {
            assert_eq!(looks_like_http(start.as_bytes()), None, "{start}");
        }
        for start in [" GET", "get /", "SSH-2.0", "\r\n", "ABCDEFGHIJKLMNOPQRSTU", "ABCDEFGHIJKLMNOPQRSTU "] {
            assert_eq!(looks_like_http(start.as_bytes()), Some(false), "{start}");
        }
    }

    #[test]
    fn the_response_says_its_length() {
        let (head, body) = PLAIN_HTTP_RESPONSE.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
