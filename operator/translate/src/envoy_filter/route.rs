//! `ROUTE_CONFIGURATION`, `VIRTUAL_HOST` and `HTTP_ROUTE` MERGE: headers, and what is different about filters.

use postern_api::finding::FieldPath;
use postern_snapshot::model::{HeaderOps, RouteFilters};

use super::header::{append, header_changes};
use super::http_filter::RouteFilter;
use super::message::Message;
use super::refusal::Read;

/// What is changed about a route, a virtual host, or a route table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteChange {
    pub(super) request_headers: HeaderOps,
    pub(super) response_headers: HeaderOps,
    /// By the names of the filters.
    pub(super) filters: Vec<NamedFilter>,
}

/// The change of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFilter {
    pub(super) name: String,
    /// Of the entry.
    pub(super) path: FieldPath,
    pub(super) filter: RouteFilter,
}

impl RouteChange {
    /// Reads the value of a patch of a virtual host or a route. `origin` is the object.
    pub(super) fn read(mut value: Message<'_>, origin: &str) -> Read<Self> {
        let mut change = Self::headers(&mut value)?;
        if let Some(filters) = value.take("typed_per_filter_config")? {
            for (name, config) in filters.map()? {
                change.filters.push(NamedFilter {
                    name: name.to_owned(),
                    path: config.path().clone(),
                    filter: RouteFilter::read(name, &config, origin)?,
                });
            }
        }
        value.finish()?;
        Ok(change)
    }

    /// Reads the value of a patch of a route table.
    pub(super) fn read_table(mut value: Message<'_>) -> Read<Self> {
        let change = Self::headers(&mut value)?;
        value.finish()?;
        Ok(change)
    }

    fn headers(value: &mut Message<'_>) -> Read<Self> {
        Ok(Self {
            request_headers: header_changes(value, "request")?,
            response_headers: header_changes(value, "response")?,
            filters: Vec::new(),
        })
    }

    /// Does it have a rate limit? In Envoy every virtual host, and every route of it, has a bucket of its own.
    pub(super) fn counts(&self) -> bool {
        self.filters.iter().any(|named| matches!(named.filter, RouteFilter::LocalRateLimit(_)))
    }

    /// Merges it into a virtual host's or a route's.
    pub(super) fn merge_into(
        &self,
        request_headers: &mut HeaderOps,
        response_headers: &mut HeaderOps,
        filters: &mut RouteFilters,
    ) {
        append(request_headers, &self.request_headers);
        append(response_headers, &self.response_headers);
        for NamedFilter { filter, .. } in &self.filters {
            match filter {
                RouteFilter::LocalRateLimit(limit) => {
                    filters.local_rate_limits.retain(|other| other.name != limit.name);
                    filters.local_rate_limits.push(limit.clone());
                }
                RouteFilter::Buffer(buffer) => filters.buffer = Some(*buffer),
                RouteFilter::CompressorDisabled => filters.compressors_disabled = Some(true),
            }
        }
    }
}
