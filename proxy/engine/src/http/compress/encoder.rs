//! The compression libraries, as one thing that bytes go into and come out of.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use postern_snapshot::model::CompressorLibrary;
use zstd::stream::write::Encoder as ZstdEncoder;

/// Envoy's default.
const BROTLI_QUALITY: u32 = 3;
/// Envoy's default.
const BROTLI_WINDOW_BITS: u32 = 18;
/// What brotli hands on at a time.
const BROTLI_BUFFER: usize = 4096;
/// zlib's default.
const GZIP_LEVEL: u32 = 6;
/// The library's default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses one body. What comes out is kept until it is [taken](Self::take).
pub(in crate::http) enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// # Errors
    /// The library lacks memory.
    pub(super) fn new(library: CompressorLibrary) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match library {
            CompressorLibrary::Gzip { level } => {
                let level = Level::new(level.unwrap_or(GZIP_LEVEL).clamp(1, 9));
                Self::Gzip(Box::new(GzEncoder::new(out, level)))
            }
            CompressorLibrary::Brotli { quality, window_bits } => {
                let quality = quality.unwrap_or(BROTLI_QUALITY).min(11);
                let window = window_bits.unwrap_or(BROTLI_WINDOW_BITS).clamp(10, 24);
                Self::Brotli(Box::new(CompressorWriter::new(out, BROTLI_BUFFER, quality, window)))
            }
            CompressorLibrary::Zstd { level } => {
                let level = level.and_then(|level| i32::try_from(level).ok()).unwrap_or(ZSTD_LEVEL);
                Self::Zstd(Box::new(ZstdEncoder::new(out, level.clamp(1, 19))?))
            }
        })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer().write_all(data)
    }

    /// All that was written can be decoded from what comes out.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// What has come out since it was last taken.
    pub(super) fn take(&mut self) -> Bytes {
        let out = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        Bytes::from(std::mem::take(out))
    }

    /// The rest.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        let out = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish()?,
        };
        Ok(Bytes::from(out))
    }

    /// A body that is there as a whole.
    pub(in crate::http) fn all(mut self, body: &[u8]) -> io::Result<Bytes> {
        self.write(body)?;
        self.finish()
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }
}
