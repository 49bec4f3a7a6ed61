//! Alerts that are sent before there is a TLS session.

use rustls::AlertDescription;

/// A fatal alert as a plaintext record (RFC 8446 section 6), to refuse a connection after its ClientHello, for
/// example with [`AlertDescription::UnrecognisedName`] when no chain answers to the server name.
#[must_use]
pub fn alert(description: AlertDescription) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, u8::from(description)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrecognized_name_is_112() {
        assert_eq!(alert(AlertDescription::UnrecognisedName), [0x15, 3, 3, 0, 2, 2, 112]);
    }
}
