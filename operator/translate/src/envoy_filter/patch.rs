//! A patch as Postern understands it.

use postern_api::finding::FieldPath;
use postern_api::istio::envoy_filter::{
    ApplyTo, EnvoyConfigObjectPatch, Patch as ApiPatch, PatchContext, PatchOperation,
};
use postern_snapshot::model::ProxyProtocol;
use serde_json::Value;

use super::cluster::ClusterChange;
use super::connection_manager::ConnectionManager;
use super::field::Field;
use super::http_filter::{HttpFilter, Position};
use super::listener_filter;
use super::message::Message;
use super::refusal::{Note, Read, Refusal};
use super::route::RouteChange;
use super::scope::{ClusterScope, ListenerScope, Matched, RouteScope};

/// A patch that is honoured.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    /// `spec.configPatches[2]`
    pub(super) path: FieldPath,
    /// What it is called in messages.
    pub(super) subject: String,
    pub(super) change: Change,
    /// What it says without effect.
    pub(super) notes: Vec<Note>,
}

/// What a patch changes, and where.
#[derive(Clone, Debug)]
pub(super) enum Change {
    ConnectionManager(ListenerScope, Box<ConnectionManager>),
    HttpFilter { scope: ListenerScope, position: Position, name: String, filter: HttpFilter },
    ProxyProtocol(ListenerScope, ProxyProtocol),
    RouteTable(RouteScope, RouteChange),
    VirtualHost(RouteScope, RouteChange),
    Route(RouteScope, RouteChange),
    Cluster(ClusterScope, ClusterChange),
}

/// Reads a patch. `None` if it is not for gateways. `path` is its place, `origin` the object.
pub(super) fn read(
    patch: &EnvoyConfigObjectPatch,
    path: &FieldPath,
    origin: &str,
) -> Option<Result<Patch, (String, Refusal)>> {
    let EnvoyConfigObjectPatch { apply_to, match_, patch: api } = patch;
    match match_.as_ref().map_or(PatchContext::Any, |found| found.context()) {
        PatchContext::Any | PatchContext::Gateway => {}
        PatchContext::SidecarInbound | PatchContext::SidecarOutbound | PatchContext::Waypoint => return None,
    }
    let subject = subject(*apply_to, api.as_ref());
    let match_path = path.field("match");
    let reader = Reader {
        path: path.field("patch"),
        matched: Matched::new(match_.as_ref(), &match_path),
        match_path: &match_path,
        origin,
        notes: Vec::new(),
    };
    Some(match reader.patch(*apply_to, api.as_ref(), path) {
        Ok((change, notes)) => Ok(Patch { path: path.clone(), subject, change, notes }),
        Err(refusal) => Err((subject, refusal)),
    })
}

/// `HTTP_FILTER envoy.filters.http.lua`
fn subject(apply_to: Option<ApplyTo>, patch: Option<&ApiPatch>) -> String {
    let kind = apply_to.map_or("a patch of nothing", kind_name);
    match patch.and_then(|patch| patch.value.get("name")).and_then(Value::as_str) {
        Some(name) if !name.is_empty() => format!("{kind} {name}"),
        _ => kind.to_owned(),
    }
}

struct Reader<'r> {
    /// Of `patch`.
    path: FieldPath,
    matched: Matched<'r>,
    match_path: &'r FieldPath,
    origin: &'r str,
    notes: Vec<Note>,
}

impl Reader<'_> {
    fn patch(
        mut self,
        apply_to: Option<ApplyTo>,
        patch: Option<&ApiPatch>,
        whole: &FieldPath,
    ) -> Read<(Change, Vec<Note>)> {
        let missing = |field: &str| Refusal::new(whole.field(field), "it is missing");
        let apply_to = apply_to.ok_or_else(|| missing("applyTo"))?;
        let patch = patch.ok_or_else(|| missing("patch"))?;
        let operation =
            patch.operation.ok_or_else(|| Refusal::new(self.path.field("operation"), "it is missing"))?;
        let value = || Message::new(self.path.field("value"), &patch.value);
        let change = match apply_to {
            ApplyTo::Listener => {
                self.merge_only(apply_to, operation)?;
                Change::ProxyProtocol(self.whole_listener()?, listener_filter::listener(value())?)
            }
            ApplyTo::ListenerFilter => {
                listener_filter::check_operation(operation, &self.path)?;
                self.listener_filter(patch)?
            }
            ApplyTo::NetworkFilter => {
                self.merge_only(apply_to, operation)?;
                let scope = self.matched.listener()?.no_listener_filter(self.match_path)?;
                if scope.sub_filter.is_some() {
                    return Err(Refusal::new(self.match_path.clone(), "subFilter is for HTTP_FILTER only"));
                }
                let manager = ConnectionManager::read(value(), self.origin)?;
                Change::ConnectionManager(scope, Box::new(manager))
            }
            ApplyTo::HttpFilter => {
                let value = value();
                self.http_filter(patch, operation, value)?
            }
            ApplyTo::RouteConfiguration => {
                self.merge_only(apply_to, operation)?;
                Change::RouteTable(self.route_table()?, RouteChange::read_table(value())?)
            }
            ApplyTo::VirtualHost => {
                self.merge_only(apply_to, operation)?;
                Change::VirtualHost(self.virtual_host()?, RouteChange::read(value(), self.origin)?)
            }
            ApplyTo::HttpRoute => {
                self.merge_only(apply_to, operation)?;
                Change::Route(self.matched.routes()?, RouteChange::read(value(), self.origin)?)
            }
            ApplyTo::Cluster => {
                self.merge_only(apply_to, operation)?;
                Change::Cluster(self.matched.cluster()?, ClusterChange::read(value())?)
            }
            ApplyTo::Invalid | ApplyTo::FilterChain | ApplyTo::ExtensionConfig | ApplyTo::Bootstrap => {
                let why = "Postern is not Envoy, and honours no patch of this kind";
                return Err(Refusal::new(whole.field("applyTo"), why));
            }
        };
        Ok((change, self.notes))
    }

    fn merge_only(&self, apply_to: ApplyTo, operation: PatchOperation) -> Read<()> {
        if operation == PatchOperation::Merge {
            return Ok(());
        }
        let (kind, operation) = (kind_name(apply_to), operation_name(operation));
        let why = format!("Postern honours MERGE of {kind}, not {operation}");
        Err(Refusal::new(self.path.field("operation"), why))
    }

    fn whole_listener(&self) -> Read<ListenerScope> {
        let scope = self.matched.listener()?.no_listener_filter(self.match_path)?;
        scope.whole_listener(self.match_path)
    }

    fn listener_filter(&self, patch: &ApiPatch) -> Read<Change> {
        let scope = self.matched.listener()?.whole_listener(self.match_path)?;
        // Only the place in the list depends on it, which is the first one always; but where it is not there, Istio
        // inserts nothing.
        if let Some(name) = &scope.listener_filter
            && !listener_filter::is_tls_inspector(name)
        {
            let path = self.match_path.field("listener").field("listenerFilter");
            let why =
                "the listeners of a gateway have one listener filter, envoy.filters.listener.tls_inspector";
            return Err(Refusal::new(path, why));
        }
        let value = Value::Object(patch.value.clone());
        let protocol = listener_filter::proxy_protocol(&Field::new(self.path.field("value"), &value))?;
        Ok(Change::ProxyProtocol(scope, protocol))
    }

    fn http_filter(
        &mut self,
        patch: &ApiPatch,
        operation: PatchOperation,
        value: Message<'_>,
    ) -> Read<Change> {
        let scope = self.matched.listener()?.no_listener_filter(self.match_path)?;
        Position::check(operation, &self.path)?;
        // What filter it is says more than where it cannot stand.
        let (name, filter) = HttpFilter::read(value, self.origin, &mut self.notes)?;
        let position = Position::of(operation, patch.filter_class, scope.sub_filter.as_deref(), &self.path)?;
        Ok(Change::HttpFilter { scope, position, name, filter })
    }

    fn route_table(&self) -> Read<RouteScope> {
        let scope = self.virtual_host()?;
        if scope.host_name.is_some() || scope.domain.is_some() {
            let path = self.match_path.field("routeConfiguration").field("vhost");
            return Err(Refusal::new(
                path,
                "a patch of a route table cannot be for one of its virtual hosts",
            ));
        }
        Ok(scope)
    }

    fn virtual_host(&self) -> Read<RouteScope> {
        let scope = self.matched.routes()?;
        if scope.route_name.is_some() || scope.action.is_some() {
            let path = self.match_path.field("routeConfiguration").field("vhost").field("route");
            return Err(Refusal::new(path, "this patch cannot be for one route; use HTTP_ROUTE"));
        }
        Ok(scope)
    }
}

/// As the API writes it.
const fn kind_name(kind: ApplyTo) -> &'static str {
    match kind {
        ApplyTo::Invalid => "INVALID",
        ApplyTo::Listener => "LISTENER",
        ApplyTo::FilterChain => "FILTER_CHAIN",
        ApplyTo::NetworkFilter => "NETWORK_FILTER",
        ApplyTo::HttpFilter => "HTTP_FILTER",
        ApplyTo::RouteConfiguration => "ROUTE_CONFIGURATION",
        ApplyTo::VirtualHost => "VIRTUAL_HOST",
        ApplyTo::HttpRoute => "HTTP_ROUTE",
        ApplyTo::Cluster => "CLUSTER",
        ApplyTo::ExtensionConfig => "EXTENSION_CONFIG",
        ApplyTo::Bootstrap => "BOOTSTRAP",
        ApplyTo::ListenerFilter => "LISTENER_FILTER",
    }
}

/// As the API writes it.
pub(super) const fn operation_name(operation: PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Invalid => "INVALID",
        PatchOperation::Merge => "MERGE",
        PatchOperation::Add => "ADD",
        PatchOperation::Remove => "REMOVE",
        PatchOperation::InsertBefore => "INSERT_BEFORE",
        PatchOperation::InsertAfter => "INSERT_AFTER",
        PatchOperation::InsertFirst => "INSERT_FIRST",
        PatchOperation::Replace => "REPLACE",
        PatchOperation::MergeAndReplaceList => "MERGE_AND_REPLACE_LIST",
    }
}
