//! `LISTENER_FILTER`, and the older form, `LISTENER` MERGE of `listener_filters`: the PROXY protocol.

use postern_api::finding::FieldPath;
use postern_api::istio::envoy_filter::PatchOperation;
use postern_snapshot::model::ProxyProtocol;

use super::any::Any;
use super::field::Field;
use super::message::Message;
use super::refusal::{Read, Refusal};

const TYPE: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
/// Before there were types, names were enough.
const NAMES: [&str; 2] = ["envoy.filters.listener.proxy_protocol", "envoy.listener.proxy_protocol"];
/// Postern looks for the server name of every TLS connection.
const TLS_INSPECTOR: [&str; 3] = [
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "envoy.filters.listener.tls_inspector",
    "envoy.listener.tls_inspector",
];

/// Is this the listener filter that only the listeners of TLS have in Istio?
pub(super) fn is_tls_inspector(name: &str) -> bool {
    TLS_INSPECTOR.contains(&name)
}

/// Reads the value of a patch of `LISTENER_FILTER`.
pub(super) fn proxy_protocol(value: &Field<'_>) -> Read<ProxyProtocol> {
    match listener_filter(value)? {
        Some(protocol) => Ok(protocol),
        None => Err(value.refuse("Postern looks for the server name of every TLS connection anyway")),
    }
}

/// Where it is put makes no difference: the PROXY header is always the first thing on a connection.
pub(super) fn check_operation(operation: PatchOperation, path: &FieldPath) -> Read<()> {
    match operation {
        PatchOperation::Add | PatchOperation::InsertFirst | PatchOperation::InsertBefore => Ok(()),
        PatchOperation::InsertAfter => {
            let why = "the PROXY header comes before everything else; use INSERT_FIRST or INSERT_BEFORE";
            Err(Refusal::new(path.field("operation"), why))
        }
        other => {
            let why = format!("Postern knows no {} of listener filters", super::patch::operation_name(other));
            Err(Refusal::new(path.field("operation"), why))
        }
    }
}

/// Reads the value of a MERGE of `LISTENER`.
pub(super) fn listener(mut value: Message<'_>) -> Read<ProxyProtocol> {
    let filters = value.need("listener_filters")?;
    value.finish()?;
    let mut found = None;
    for filter in filters.list()? {
        if let Some(protocol) = listener_filter(&filter)?
            && found.replace(protocol).is_some()
        {
            return Err(filter.refuse("a connection has one PROXY header"));
        }
    }
    found.ok_or_else(|| filters.refuse("Postern looks for the server name of every TLS connection anyway"))
}

/// `None` for a filter that does what Postern does anyway.
fn listener_filter(field: &Field<'_>) -> Read<Option<ProxyProtocol>> {
    let mut message = field.message()?;
    let name = match message.take("name")? {
        Some(name) => name.text()?,
        None => "",
    };
    let config = message.take("typed_config")?;
    message.finish()?;
    let Some(config) = config else {
        return match name {
            name if NAMES.contains(&name) => Ok(Some(ProxyProtocol::default())),
            name if is_tls_inspector(name) => Ok(None),
            name => Err(field.refuse(unknown(name))),
        };
    };
    let Any { type_name, mut message } = Any::of(&config)?;
    match type_name {
        TYPE => {
            let allow = message.take("allow_requests_without_proxy_protocol")?;
            message.finish()?;
            Ok(Some(ProxyProtocol {
                allow_requests_without_proxy_protocol: allow.map_or(Ok(false), |allow| allow.bool())?,
            }))
        }
        other if is_tls_inspector(other) => {
            message.finish()?;
            Ok(None)
        }
        other => Err(config.refuse(unknown(other))),
    }
}

fn unknown(name: &str) -> String {
    format!("of listener filters Postern has envoy.filters.listener.proxy_protocol only, not {name:?}")
}
