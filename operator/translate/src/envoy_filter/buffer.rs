//! `envoy.extensions.filters.http.buffer.v3.Buffer`, on a connection manager or a route.

use postern_snapshot::model::{Buffer, RouteBuffer};

use super::message::Message;
use super::refusal::{Read, Refusal};

pub(super) const TYPE: &str = "envoy.extensions.filters.http.buffer.v3.Buffer";
pub(super) const PER_ROUTE_TYPE: &str = "envoy.extensions.filters.http.buffer.v3.BufferPerRoute";

/// The filter.
pub(super) fn buffer(mut message: Message<'_>) -> Read<Buffer> {
    let max_request_bytes = message.need("max_request_bytes")?.within(1..=u32::MAX)?;
    message.finish()?;
    Ok(Buffer { max_request_bytes })
}

/// `BufferPerRoute`: either switched off or another size.
pub(super) fn per_route(mut message: Message<'_>) -> Read<RouteBuffer> {
    let disabled = message.take("disabled")?;
    let other = message.take("buffer")?;
    let path = message.path().clone();
    message.finish()?;
    match (disabled, other) {
        (Some(disabled), None) if disabled.bool()? => Ok(RouteBuffer::Disabled),
        (Some(disabled), None) => Err(disabled.refuse("Envoy allows true only")),
        (None, Some(other)) => Ok(RouteBuffer::Buffer(buffer(other.message()?)?)),
        _ => Err(Refusal::new(path, "it must say either disabled or buffer")),
    }
}
