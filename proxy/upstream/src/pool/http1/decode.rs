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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// What comes out when the bytes arrive in pieces of these sizes: content, trailers, what is left over.
    fn decoded(
        mut decoder: Decoder,
        mut bytes: &[u8],
        sizes: &[usize],
    ) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Malformed> {
        let (mut content, mut trailers, mut buffer) = (Vec::new(), HeaderMap::new(), Bytes::new());
        let mut sizes = sizes.iter().cycle();
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(data) => {
                    assert!(!data.is_empty());
                    content.extend_from_slice(&data);
                }
                Decoded::Trailers(got) => trailers = got,
                Decoded::End => {
                    assert!(decoder.is_over());
                    return Ok((content, trailers, [&buffer, bytes].concat()));
                }
                Decoded::More => {
                    assert!(!decoder.is_over());
                    let Some(size) = sizes.next().filter(|_| !bytes.is_empty()) else {
                        return Ok((content, trailers, b"more".to_vec()));
                    };
                    let (piece, rest) = bytes.split_at((*size).clamp(1, bytes.len()));
                    let mut both = BytesMut::from(buffer);
                    both.extend_from_slice(piece);
                    (buffer, bytes) = (both.freeze(), rest);
                }
            }
        }
    }

    fn chunked(text: &str) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Malformed> {
        decoded(Decoder::chunked(), text.as_bytes(), &[text.len()])
    }

    proptest! {
        #[test]
        fn chunks_in_any_pieces_give_the_content(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), "(|;a=b| ;x=\"y\"|;)"), 0..10),
            trailers in prop::collection::vec("[a-z]{1,8}", 0..3),
            sizes in prop::collection::vec(1_usize..40, 1..5),
            zeros in 1_usize..4,
        ) {
            let mut text = Vec::new();
            for (data, extension) in &chunks {
                text.extend(format!("{:X}{extension}\r\n", data.len()).bytes());
                text.extend(data);
                text.extend(b"\r\n");
            }
            text.extend(format!("{}\r\n", "0".repeat(zeros)).bytes());
            trailers.iter().for_each(|name| text.extend(format!("{name}: 1\r\n").bytes()));
            text.extend(b"\r\nnext");
            let content: Vec<u8> = chunks.iter().flat_map(|(data, _)| data.clone()).collect();
            for sizes in [&[text.len()], sizes.as_slice()] {
                let (got, got_trailers, left) = decoded(Decoder::chunked(), &text, sizes).unwrap();
                prop_assert_eq!(&got, &content);
                prop_assert_eq!(got_trailers.len(), trailers.len());
                prop_assert_eq!(left, b"next");
            }
        }

        #[test]
        fn a_length_in_any_pieces_gives_the_content(
            content in prop::collection::vec(any::<u8>(), 0..300),
            sizes in prop::collection::vec(1_usize..40, 1..5),
        ) {
            let text = [content.as_slice(), b"next"].concat();
            let (got, _, left) = decoded(Decoder::length(content.len() as u64), &text, &sizes).unwrap();
            prop_assert_eq!(got, content);
            prop_assert_eq!(left, b"next");
        }

        #[test]
        fn garbage_ends_somehow(bytes in prop::collection::vec(any::<u8>(), 0..200), start in "[0-9a-f]{0,3}(\r\n)?") {
            let text = [start.as_bytes(), &bytes].concat();
            let whole = decoded(Decoder::chunked(), &text, &[text.len()]).map(|(content, ..)| content);
            let single = decoded(Decoder::chunked(), &text, &[1]).map(|(content, ..)| content);
            prop_assert!(whole.is_err() == single.is_err());
            prop_assert_eq!(whole.ok(), single.ok());
        }
    }

    #[test]
    fn the_end_is_told_with_the_last_data_if_it_is_there() {
        let mut decoder = Decoder::chunked();
        let mut buffer = Bytes::from_static(b"2\r\nok\r\n0\r\n\r\n");
        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"ok"))));
        assert!(decoder.is_over());
        assert!(buffer.is_empty());
        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::End));
    }

    #[test]
    fn what_others_may_read_differently_is_refused() {
        for text in [
            "2\nok\r\n0\r\n\r\n",
            "2\r\nok\n0\r\n\r\n",
            "2\r\nok 0\r\n\r\n",
            "\r\nok\r\n",
            " 2\r\nok\r\n",
            "+2\r\nok\r\n",
            "-2\r\nok\r\n",
            "0x2\r\nok\r\n",
            "2 x\r\nok\r\n",
            "2;a\rb\r\nok\r\n",
            "g\r\n",
            "00000000000000002\r\nok\r\n",
            "10000000000000000\r\n",
        ] {
            assert_eq!(chunked(text).unwrap_err(), Malformed::Chunk, "{text:?}");
        }
        for text in ["0\r\na b: c\r\n\r\n", "0\r\nnone\r\n\r\n"] {
            assert_eq!(chunked(text).unwrap_err(), Malformed::Trailers, "{text:?}");
        }
    }

    #[test]
    fn lines_have_a_limit() {
        let extension = format!("2;{}", "x".repeat(MAX_LINE));
        assert_eq!(chunked(&extension).unwrap_err(), Malformed::Chunk);
        let trailer = format!("0\r\na: {}", "x".repeat(MAX_LINE));
        assert_eq!(chunked(&trailer).unwrap_err(), Malformed::Trailers);
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_TRAILERS + 1));
        assert_eq!(chunked(&many).unwrap_err(), Malformed::Trailers);
    }

    #[test]
    fn until_the_close_everything_is_content() {
        let mut decoder = Decoder::until_close();
        assert!(decoder.may_close());
        assert_eq!(
            decoder.decode(&mut Bytes::from_static(b"abc")),
            Ok(Decoded::Data(Bytes::from_static(b"abc")))
        );
        assert_eq!(decoder.decode(&mut Bytes::new()), Ok(Decoded::More));
        for unfinished in [Decoder::length(1), Decoder::chunked(), Decoder::Chunked(Chunk::Trailers)] {
            assert!(!unfinished.may_close());
        }
    }
}
