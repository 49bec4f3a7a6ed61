//! Which objects of Envoy's configuration a patch is for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::{Port, non_empty};

/// Which objects a patch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MatchFields", into = "MatchFields")]
pub struct EnvoyConfigObjectMatch {
    /// As written; see [`Self::context`].
    pub context: Option<PatchContext>,
    /// Which proxies.
    pub proxy: Option<ProxyMatch>,
    /// Which objects of the kind.
    pub object: Option<ObjectMatch>,
}

impl EnvoyConfigObjectMatch {
    /// For which role of the proxy; ANY if it is left out.
    #[must_use]
    pub fn context(&self) -> PatchContext {
        self.context.unwrap_or(PatchContext::Any)
    }
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectMatch {
    /// Listeners, and what is in them.
    Listener(ListenerMatch),
    /// Route tables, and what is in them.
    RouteConfiguration(RouteConfigurationMatch),
    /// Clusters.
    Cluster(ClusterMatch),
    /// What is in waypoints.
    Waypoint(WaypointMatch),
}

/// For which role of a proxy a patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchContext {
    /// Sidecars and gateways.
    Any,
    /// What comes in to a sidecar.
    SidecarInbound,
    /// What goes out of a sidecar.
    SidecarOutbound,
    /// Gateways.
    Gateway,
    /// Waypoints.
    Waypoint,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MatchFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<PatchContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<ListenerMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_configuration: Option<RouteConfigurationMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waypoint: Option<WaypointMatch>,
}

impl TryFrom<MatchFields> for EnvoyConfigObjectMatch {
    type Error = &'static str;

    fn try_from(fields: MatchFields) -> Result<Self, &'static str> {
        let objects = [
            fields.listener.map(ObjectMatch::Listener),
            fields.route_configuration.map(ObjectMatch::RouteConfiguration),
            fields.cluster.map(ObjectMatch::Cluster),
            fields.waypoint.map(ObjectMatch::Waypoint),
        ];
        let mut objects = objects.into_iter().flatten();
        let (object, None) = (objects.next(), objects.next()) else {
            return Err("only one of listener, routeConfiguration, cluster and waypoint may be set");
        };
        Ok(Self { context: fields.context, proxy: fields.proxy, object })
    }
}

impl From<EnvoyConfigObjectMatch> for MatchFields {
    fn from(value: EnvoyConfigObjectMatch) -> Self {
        let mut fields = Self { context: value.context, proxy: value.proxy, ..Self::default() };
        match value.object {
            None => {}
            Some(ObjectMatch::Listener(listener)) => fields.listener = Some(listener),
            Some(ObjectMatch::RouteConfiguration(routes)) => {
                fields.route_configuration = Some(routes);
            }
            Some(ObjectMatch::Cluster(cluster)) => fields.cluster = Some(cluster),
            Some(ObjectMatch::Waypoint(waypoint)) => fields.waypoint = Some(waypoint),
        }
        fields
    }
}

/// Defines messages all of whose fields are optional.
macro_rules! optional_fields {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $( $(#[$attribute:meta])* $field:ident: $type:ty, )+
        }
    )+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name {
            $(
                $(#[$attribute])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+
        }
    )+ };
}

optional_fields! {
    /// Listeners, and what is in them.
    ListenerMatch {
        /// The port of the Gateway's server.
        port_number: Port,
        /// The name of the port; not implemented by Istio.
        #[serde(deserialize_with = "non_empty")]
        port_name: String,
        /// A filter chain in it.
        filter_chain: FilterChainMatch,
        /// A listener filter in it.
        #[serde(deserialize_with = "non_empty")]
        listener_filter: String,
        /// The name in Envoy's configuration.
        #[serde(deserialize_with = "non_empty")]
        name: String,
    }

    /// A filter chain.
    FilterChainMatch {
        /// Its name.
        #[serde(deserialize_with = "non_empty")]
        name: String,
        /// The server name (SNI) that it is for.
        #[serde(deserialize_with = "non_empty")]
        sni: String,
        /// `raw_buffer` or `tls`.
        #[serde(deserialize_with = "non_empty")]
        transport_protocol: String,
        /// Protocols (ALPN), separated by commas.
        #[serde(deserialize_with = "non_empty")]
        application_protocols: String,
        /// A filter in it.
        filter: FilterMatch,
        /// The port that it is for.
        destination_port: Port,
    }

    /// A filter.
    FilterMatch {
        /// Its name, `envoy.filters.network.http_connection_manager`.
        #[serde(deserialize_with = "non_empty")]
        name: String,
        /// A filter in it.
        sub_filter: SubFilterMatch,
    }

    /// A filter in a filter.
    SubFilterMatch {
        /// Its name, `envoy.filters.http.router`.
        #[serde(deserialize_with = "non_empty")]
        name: String,
    }

    /// Route tables, and what is in them.
    RouteConfigurationMatch {
        /// The port of the Gateway's server.
        port_number: Port,
        /// The name of that port.
        #[serde(deserialize_with = "non_empty")]
        port_name: String,
        /// The Gateway, as `namespace/name`.
        #[serde(deserialize_with = "non_empty")]
        gateway: String,
        /// A virtual host in it.
        vhost: VirtualHostMatch,
        /// The name in Envoy's configuration.
        #[serde(deserialize_with = "non_empty")]
        name: String,
    }

    /// A virtual host.
    VirtualHostMatch {
        /// Its name: `host:port`.
        #[serde(deserialize_with = "non_empty")]
        name: String,
        /// A domain of it.
        #[serde(deserialize_with = "non_empty")]
        domain_name: String,
        /// A route in it.
        route: RouteMatch,
    }

    /// A route.
    RouteMatch {
        /// Its name.
        #[serde(deserialize_with = "non_empty")]
        name: String,
        /// What it does; ANY if it is left out.
        action: RouteAction,
    }

    /// Clusters.
    ClusterMatch {
        /// The port of the service.
        port_number: Port,
        /// The whole name of the service.
        #[serde(deserialize_with = "non_empty")]
        service: String,
        /// The subset of the service.
        #[serde(deserialize_with = "non_empty")]
        subset: String,
        /// The name in Envoy's configuration.
        #[serde(deserialize_with = "non_empty")]
        name: String,
    }

    /// What is in waypoints.
    WaypointMatch {
        /// The port of the service.
        port_number: Port,
        /// A filter.
        filter: FilterMatch,
        /// A route.
        route: WaypointRouteMatch,
    }

    /// A route in a waypoint.
    WaypointRouteMatch {
        /// Its name.
        #[serde(deserialize_with = "non_empty")]
        name: String,
    }
}

/// Which proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyMatch {
    /// The version of Istio's proxy, as a regular expression.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub proxy_version: Option<String>,
    /// The proxy's metadata, all of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RouteAction {
    /// Anything.
    Any,
    /// Forward.
    Route,
    /// Redirect.
    Redirect,
    /// Answer.
    DirectResponse,
}
