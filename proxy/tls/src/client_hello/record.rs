//! From records (RFC 8446 section 5.1) to the first handshake message, which may be spread over several.

use std::borrow::Cow;

use super::{MAX_CLIENT_HELLO, reader::Reader};

/// The content type of handshake records.
pub(super) const HANDSHAKE: u8 = 22;
/// The type of the handshake message.
const CLIENT_HELLO: u8 = 1;
/// The most that a plaintext record may hold.
const MAX_FRAGMENT: u16 = 1 << 14;
/// Type and length of a handshake message.
const MESSAGE_HEADER: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    NotTls,
    Malformed,
    TooLarge,
}

/// The whole ClientHello without its header; `None` when it is not complete yet.
pub(super) fn client_hello(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Error> {
    let mut records = Reader::new(bytes);
    // Almost always it is in one record, and then nothing is copied.
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    loop {
        let (fragment, is_whole) = fragment(&mut records)?;
        if message.is_empty() {
            message = Cow::Borrowed(fragment);
        } else {
            message.to_mut().extend_from_slice(fragment);
        }
        if let Some(end) = message_end(&message)?.filter(|end| *end <= message.len()) {
            return Ok(Some(body(message, end)));
        }
        if !is_whole {
            return Ok(None);
        }
    }
}

/// The content of the next record, as much as is there, and whether that is all of it.
fn fragment<'a>(records: &mut Reader<'a>) -> Result<(&'a [u8], bool), Error> {
    let nothing: (&[u8], bool) = (&[], false);
    match records.u8() {
        None => return Ok(nothing),
        Some(HANDSHAKE) => {}
        Some(_) => return Err(Error::Malformed),
    }
    match records.u8() {
        None => return Ok(nothing),
        Some(3) => {}
        Some(_) => return Err(Error::NotTls),
    }
    let (Some(_minor), Some(length)) = (records.u8(), records.u16()) else { return Ok(nothing) };
    // Empty fragments are forbidden, and would let a client keep us busy without end.
    if length == 0 || length > MAX_FRAGMENT {
        return Err(Error::Malformed);
    }
    match records.take(length.into()) {
        Some(fragment) => Ok((fragment, true)),
        None => Ok((records.rest(), false)),
    }
}

/// Where the message ends, once its header is there.
fn message_end(message: &[u8]) -> Result<Option<usize>, Error> {
    let mut header = Reader::new(message);
    match header.u8() {
        None => return Ok(None),
        Some(CLIENT_HELLO) => {}
        Some(_) => return Err(Error::Malformed),
    }
    match header.u24().map(usize::try_from) {
        None => Ok(None),
        Some(Ok(length)) if length <= MAX_CLIENT_HELLO => Ok(Some(MESSAGE_HEADER + length)),
        Some(_) => Err(Error::TooLarge),
    }
}

fn body(message: Cow<'_, [u8]>, end: usize) -> Cow<'_, [u8]> {
    match message {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(MESSAGE_HEADER..end).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(MESSAGE_HEADER..end).unwrap_or_default().to_vec()),
    }
}
