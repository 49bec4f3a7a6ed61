//! An upstream's body on its way through an encoder.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::Encoder;
use crate::http::body::{RequestBody, ResponseBodyError};

type Upstream = postern_upstream::ResponseBody<RequestBody>;
type Polled = Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>>;

/// A body that is compressed as it streams. What the upstream has sent does not wait in the encoder while the upstream
/// pauses: a stream of events stays one.
pub(in crate::http) struct Encoded {
    upstream: Upstream,
    /// Until its end has come out.
    encoder: Option<Encoder>,
    trailers: Option<HeaderMap>,
    /// Something may be left in the encoder.
    unflushed: bool,
}

impl Encoded {
    pub(in crate::http) const fn new(upstream: Upstream, encoder: Encoder) -> Self {
        Self { upstream, encoder: Some(encoder), trailers: None, unflushed: false }
    }

    pub(in crate::http) const fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub(in crate::http) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let out = match Pin::new(&mut self.upstream).poll_frame(cx) {
                Poll::Pending if !self.unflushed => return Poll::Pending,
                Poll::Pending => {
                    self.unflushed = false;
                    encoder.flush().map(|()| encoder.take())
                }
                Poll::Ready(Some(Ok(frame))) => self.take_in(frame),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => self.finish(),
            };
            match out {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out)))),
                Err(error) => return Poll::Ready(Some(Err(ResponseBodyError::Compression(error)))),
            }
        }
    }

    /// What comes out of the encoder because of this.
    fn take_in(&mut self, frame: Frame<Bytes>) -> io::Result<Bytes> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                self.trailers = frame.into_trailers().ok();
                return self.finish();
            }
        };
        let Some(encoder) = &mut self.encoder else { return Ok(Bytes::new()) };
        encoder.write(&data)?;
        self.unflushed = true;
        if self.upstream.is_end_stream() { self.finish() } else { Ok(encoder.take()) }
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        self.encoder.take().map_or_else(|| Ok(Bytes::new()), Encoder::finish)
    }
}
