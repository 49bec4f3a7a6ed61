//! Certificates known by their hash.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postern_snapshot::model::ClientAuth;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Fingerprint, TlsError};

/// The SHA-256 of public keys (SPKI) and of whole certificates; one of either must fit (Envoy's
/// `verify_certificate_spki` and `verify_certificate_hash`).
#[derive(Debug)]
pub(super) struct Pins {
    spki: Vec<Fingerprint>,
    certificates: Vec<Fingerprint>,
}

impl Pins {
    /// # Errors
    /// One is no SHA-256. To leave it out would let everybody in where it is the only one.
    pub(super) fn parse(auth: &ClientAuth) -> Result<Self, TlsError> {
        let parse = |list, encoding, values: &[String], decode: fn(&str) -> Option<[u8; 32]>| {
            let decode = |value: &String| match decode(value) {
                Some(hash) => Ok(Fingerprint::from(hash)),
                None => Err(TlsError::InvalidPin { list, value: value.clone(), encoding }),
            };
            values.iter().map(decode).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            spki: parse("spki", "base64", &auth.spki, base64)?,
            certificates: parse("hashes", "hexadecimal", &auth.hashes, hex)?,
        })
    }

    /// Is it one of them, or are there none?
    pub(super) fn accept(&self, certificate: &CertificateDer<'_>) -> bool {
        let known = || self.certificates.contains(&Fingerprint::of(certificate));
        let known_key = || {
            let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
            self.spki.contains(&Fingerprint::of(parsed.public_key().raw))
        };
        (self.spki.is_empty() && self.certificates.is_empty())
            || (!self.certificates.is_empty() && known())
            || (!self.spki.is_empty() && known_key())
    }
}

fn base64(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

/// 64 digits, or 32 pairs with colons between, as `openssl x509 -fingerprint` prints them.
fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: String = match text.trim() {
        text if text.contains(':') => {
            let pairs: Vec<&str> = text.split(':').collect();
            pairs.iter().all(|pair| pair.len() == 2).then(|| pairs.concat())?
        }
        text => text.to_owned(),
    };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{base64, hex};

    #[test]
    fn hashes_are_hex_with_or_without_colons() {
        let plain = "00ff".repeat(16);
        let colons = vec!["00:FF"; 16].join(":");
        assert_eq!(hex(&plain), hex(&colons));
        assert_eq!(hex(&plain).unwrap()[..2], [0x00, 0xff]);
        for bad in ["", "0", "00", "g", &plain[1..], &format!("{plain}0"), &format!("{plain}00")] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        assert_eq!(hex(&format!("0{}", &colons[2..])), None, "a lone digit between colons");
        assert_eq!(hex(&"+f".repeat(32)), None);
    }

    #[test]
    fn keys_are_base64() {
        assert_eq!(base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), Some([0; 32]));
        assert_eq!(base64("AAAA"), None);
        assert_eq!(base64("?"), None);
    }
}
