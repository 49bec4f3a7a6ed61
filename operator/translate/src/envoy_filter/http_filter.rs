//! `HTTP_FILTER`: a filter is put into the chain of a connection manager, and changed for a route by
//! `typed_per_filter_config`.

use std::collections::BTreeMap;
use std::mem::discriminant;

use postern_api::finding::FieldPath;
use postern_api::istio::envoy_filter::{FilterClass, PatchOperation};
use postern_snapshot::model::{Buffer, Compressor, HttpFilters, LocalRateLimit, RouteBuffer};

use super::any::Any;
use super::field::Field;
use super::message::Message;
use super::refusal::{Note, Read, Refusal};
use super::{buffer, compressor, local_rate_limit};

/// The last filter of every chain.
const ROUTER: [&str; 2] = ["envoy.filters.http.router", "envoy.router"];

/// Other filters of the chains of Istio's gateways. Where a filter stands among them makes no difference here: Postern
/// has its filters in an order of its own.
const ISTIO_FILTERS: [&str; 9] = [
    "istio.metadata_exchange",
    "istio_authn",
    "istio.alpn",
    "istio.stats",
    "envoy.filters.http.grpc_stats",
    "envoy.filters.http.fault",
    "envoy.filters.http.cors",
    "envoy.fault",
    "envoy.cors",
];

/// A filter that Postern has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HttpFilter {
    LocalRateLimit(LocalRateLimit),
    Compressor(Compressor),
    Buffer(Buffer),
}

/// The kind of a filter, which the change of a route must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterKind {
    LocalRateLimit,
    Compressor,
    Buffer,
}

impl HttpFilter {
    pub(super) const fn kind(&self) -> FilterKind {
        match self {
            Self::LocalRateLimit(_) => FilterKind::LocalRateLimit,
            Self::Compressor(_) => FilterKind::Compressor,
            Self::Buffer(_) => FilterKind::Buffer,
        }
    }

    /// Why it cannot be put into a chain with these filters.
    pub(super) fn conflict(&self, filters: &HttpFilters) -> Option<&'static str> {
        match self {
            Self::LocalRateLimit(_) => None,
            Self::Compressor(compressor) => {
                let library = discriminant(&compressor.library);
                let same = filters.compressors.iter().any(|other| discriminant(&other.library) == library);
                same.then_some("there is a compressor with this library already")
            }
            Self::Buffer(_) => filters.buffer.is_some().then_some("there is a buffer filter already"),
        }
    }

    /// Reads the value of a patch: the filter's name, and the filter. `origin` is the object.
    pub(super) fn read(mut value: Message<'_>, origin: &str, notes: &mut Vec<Note>) -> Read<(String, Self)> {
        let name = value.need("name")?;
        let name = match name.text()? {
            "" => return Err(name.refuse("a filter needs a name")),
            name => name.to_owned(),
        };
        let config = value.need("typed_config")?;
        value.only_default("is_optional")?;
        value.only_default("disabled")?;
        value.finish()?;
        let Any { type_name, message } = Any::of(&config)?;
        let filter = match type_name {
            local_rate_limit::TYPE => {
                Self::LocalRateLimit(local_rate_limit::local_rate_limit(&name, message, origin)?)
            }
            compressor::TYPE => Self::Compressor(compressor::compressor(message, notes)?),
            buffer::TYPE => Self::Buffer(buffer::buffer(message)?),
            other => return Err(config.refuse(unknown_type(other))),
        };
        Ok((name, filter))
    }
}

fn unknown_type(type_name: &str) -> String {
    format!(
        "Postern has the HTTP filters local_ratelimit, compressor and buffer, and none of type {type_name}"
    )
}

/// What a route changes about a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RouteFilter {
    LocalRateLimit(LocalRateLimit),
    Buffer(RouteBuffer),
    CompressorDisabled,
}

impl RouteFilter {
    pub(super) const fn kind(&self) -> FilterKind {
        match self {
            Self::LocalRateLimit(_) => FilterKind::LocalRateLimit,
            Self::Buffer(_) => FilterKind::Buffer,
            Self::CompressorDisabled => FilterKind::Compressor,
        }
    }

    /// Reads an entry of `typed_per_filter_config`.
    pub(super) fn read(name: &str, config: &Field<'_>, origin: &str) -> Read<Self> {
        let Any { type_name, message } = Any::of(config)?;
        match type_name {
            local_rate_limit::TYPE => {
                Ok(Self::LocalRateLimit(local_rate_limit::local_rate_limit(name, message, origin)?))
            }
            buffer::PER_ROUTE_TYPE => Ok(Self::Buffer(buffer::per_route(message)?)),
            compressor::PER_ROUTE_TYPE => {
                compressor::disabled_per_route(message)?;
                Ok(Self::CompressorDisabled)
            }
            other => Err(config.refuse(unknown_type(other))),
        }
    }
}

/// Where among the filters one is inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// At the front.
    First,
    /// Just before the router, which every chain has.
    Last,
    /// Beside this one, if it is there.
    Beside { name: String, after: bool },
}

impl Position {
    /// What an operation that [puts a filter in](Self::check) says. `sub_filter` is the neighbour in the patch's match, `path` is the patch's.
    pub(super) fn of(
        operation: PatchOperation,
        class: Option<FilterClass>,
        sub_filter: Option<&str>,
        path: &FieldPath,
    ) -> Read<Self> {
        let refuse = |why: String| Err(Refusal::new(path.field("operation"), why));
        let behind = "behind the router, where Envoy refuses it; use INSERT_BEFORE or INSERT_FIRST";
        match (operation, sub_filter) {
            (PatchOperation::InsertFirst, _) | (PatchOperation::InsertBefore, None) => Ok(Self::First),
            (PatchOperation::InsertBefore, Some(name)) if ROUTER.contains(&name) => Ok(Self::Last),
            (PatchOperation::InsertAfter, Some(name)) if !ROUTER.contains(&name) => {
                Ok(Self::Beside { name: name.to_owned(), after: true })
            }
            (PatchOperation::InsertBefore, Some(name)) => {
                Ok(Self::Beside { name: name.to_owned(), after: false })
            }
            (PatchOperation::InsertAfter, _) => refuse(format!("INSERT_AFTER puts it {behind}")),
            // With a class Istio finds the place itself.
            (PatchOperation::Add, _) if class.is_some_and(|class| class != FilterClass::Unspecified) => {
                Ok(Self::Last)
            }
            _ => refuse(format!("ADD without filterClass puts it {behind}")),
        }
    }

    /// Refuses what does not put a filter in.
    pub(super) fn check(operation: PatchOperation, path: &FieldPath) -> Read<()> {
        match operation {
            PatchOperation::InsertFirst
            | PatchOperation::InsertBefore
            | PatchOperation::InsertAfter
            | PatchOperation::Add => Ok(()),
            other => {
                let why = format!(
                    "Postern puts HTTP filters in (INSERT_BEFORE, INSERT_FIRST), and knows no {} of them",
                    super::patch::operation_name(other)
                );
                Err(Refusal::new(path.field("operation"), why))
            }
        }
    }

    /// Is there such a place in a chain of Istio's, with `inserted` in it?
    pub(super) fn is_in(&self, inserted: Option<&BTreeMap<String, FilterKind>>) -> bool {
        match self {
            Self::First | Self::Last => true,
            Self::Beside { name, .. } => {
                ISTIO_FILTERS.contains(&name.as_str())
                    || inserted.is_some_and(|inserted| inserted.contains_key(name))
            }
        }
    }
}
