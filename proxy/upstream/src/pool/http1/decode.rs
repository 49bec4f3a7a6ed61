//! The body of a response, piece by piece.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

/// A chunk's size and its extensions are shorter than this; so is each trailer section.
const MAX_LINE: usize = 16 * 1024;
/// More trailers are refused.
const MAX_TRAILERS: usize = 64;

/// Where in the body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// Within chunks.
    Chunked(Chunk),
    /// Until the connection closes.
    UntilClose,
}

/// Where in the chunks we are (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before the size of a chunk.
    Size,
    /// Within a chunk, with so many bytes left.
    Data(u64),
    /// Before the line end after a chunk.
    DataEnd,
    /// After the last chunk.
    Trailers,
    /// At the end.
    Over,
}

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A piece of the body.
    Data(Bytes),
    /// The trailers; then it ends.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More must be read.
    More,
}

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("malformed chunk")]
    Chunk,
    #[error("malformed trailers")]
    Trailers,
}

impl Decoder {
    pub(super) const fn length(bytes: u64) -> Self {
        Self::Length(bytes)
    }

    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    pub(super) const fn until_close() -> Self {
        Self::UntilClose
    }

    /// Is the body known to be over?
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over))
    }

    /// May the connection close here?
    pub(super) const fn may_close(&self) -> bool {
        self.is_over() || matches!(self, Self::UntilClose)
    }

    /// Takes the next piece from the buffer.
    pub(super) fn decode(&mut self, buffer: &mut Bytes) -> Result<Decoded, Malformed> {
        match self {
            Self::Length(0) => Ok(Decoded::End),
            _ if buffer.is_empty() && !self.is_over() => Ok(Decoded::More),
            Self::Length(left) => Ok(Decoded::Data(take(buffer, left))),
            Self::UntilClose => Ok(Decoded::Data(std::mem::take(buffer))),
            Self::Chunked(chunk) => chunk.decode(buffer),
        }
    }
}

impl Chunk {
    fn decode(&mut self, buffer: &mut Bytes) -> Result<Decoded, Malformed> {
        loop {
            match self {
                Self::Size => match size(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(0) => *self = Self::Trailers,
                    Some(size) => *self = Self::Data(size),
                },
                Self::Data(_) if buffer.is_empty() => return Ok(Decoded::More),
                Self::Data(left) => {
                    let data = take(buffer, left);
                    if *left == 0 {
                        *self = Self::DataEnd;
                        self.skip_to_end(buffer);
                    }
                    return Ok(Decoded::Data(data));
                }
                Self::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(Malformed::Chunk),
                },
                Self::Trailers => match trailers(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(trailers) => {
                        *self = Self::Over;
                        if !trailers.is_empty() {
                            return Ok(Decoded::Trailers(trailers));
                        }
                    }
                },
                Self::Over => return Ok(Decoded::End),
            }
        }
    }

    /// If the body is known to end with this chunk, that is told with its data.
    fn skip_to_end(&mut self, buffer: &mut Bytes) {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if buffer.starts_with(END) {
            buffer.advance(END.len());
            *self = Self::Over;
        }
    }
}

/// As much of what is left as is there.
fn take(buffer: &mut Bytes, left: &mut u64) -> Bytes {
    let there = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= there as u64;
    buffer.split_to(there)
}

/// The size of a chunk; its extensions are dropped. Only CR LF ends the line: others read other sizes.
fn size(buffer: &mut Bytes) -> Result<Option<u64>, Malformed> {
    let Some(end) = buffer.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if buffer.len() < MAX_LINE { Ok(None) } else { Err(Malformed::Chunk) };
    };
    let line = buffer.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed::Chunk)?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits).ok_or(Malformed::Chunk)?;
    let extended = matches!(rest.trim_ascii_start().first(), None | Some(b';'));
    if digits.is_empty() || digits.len() > 16 || !extended || rest.contains(&b'\r') {
        return Err(Malformed::Chunk);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed::Chunk)?;
    u64::from_str_radix(digits, 16).map(Some).map_err(|_| Malformed::Chunk)
}

/// The trailers with the empty line after them; mostly there are none.
fn trailers(buffer: &mut Bytes) -> Result<Option<HeaderMap>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let parsed = httparse::parse_headers(buffer, &mut fields).map_err(|_| Malformed::Trailers)?;
    let (length, fields) = match parsed {
        Status::Complete((length, fields)) if length <= MAX_LINE => (length, fields),
        Status::Partial if buffer.len() < MAX_LINE => return Ok(None),
        Status::Complete(_) | Status::Partial => return Err(Malformed::Trailers),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Trailers)?;
        let value = HeaderValue::from_maybe_shared(buffer.slice_ref(field.value));
        trailers.append(name, value.map_err(|_| Malformed::Trailers)?);
    }
    buffer.advance(length);
    Ok(Some(trailers))
}
