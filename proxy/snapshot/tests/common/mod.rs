//! Snapshots of all shapes, for the property tests.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use postern_snapshot::{
    CaName, CertificateName, ClusterName, HostPattern, KeyId, Port, RouteTableName, manifest::Source,
    model::*,
};
use proptest::{collection::vec, option, prelude::*};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[a-zA-Z0-9/._%-]{0,20}", ".{0,12}"]
}

fn port() -> impl Strategy<Value = Port> {
    (1..=u16::MAX).prop_map(|number| Port::new(number).expect("not 0"))
}

fn millis() -> impl Strategy<Value = Duration> {
    (0..u64::from(u32::MAX)).prop_map(Duration::from_millis)
}

pub(crate) fn host_pattern() -> impl Strategy<Value = HostPattern> {
    prop_oneof![
        Just(HostPattern::Any),
        "[a-c]{1,3}(\\.[a-c]{1,2}){0,2}".prop_map(|name| name.parse().expect("a host")),
        "\\*(\\.[a-c]{1,2}){1,3}".prop_map(|name| name.parse().expect("a wildcard host")),
    ]
}

fn cluster_name() -> impl Strategy<Value = ClusterName> {
    "[ab]{1,2}".prop_map(|name| ClusterName::new(format!("outbound|80||{name}")))
}

fn header_ops() -> impl Strategy<Value = HeaderOps> {
    (vec("[a-z-]{1,6}", 0..3), vec(("[a-z]{1,4}", text()), 0..3), vec(("[a-z]{1,4}", text()), 0..2))
        .prop_map(|(remove, set, add)| HeaderOps { remove, set, add })
}

fn targets() -> impl Strategy<Value = Vec<WeightedTarget>> {
    let target =
        prop_oneof![cluster_name().prop_map(Target::Cluster), Just(Target::Unavailable { status: 503 }),];
    vec(
        (target, 1..100_u32, header_ops()).prop_map(|(target, weight, request_headers)| WeightedTarget {
            target,
            weight,
            host_rewrite: None,
            request_headers,
            response_headers: HeaderOps::default(),
        }),
        0..3,
    )
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    (0..3, text()).prop_map(|(kind, text)| match kind {
        0 => StringMatch::Exact(text),
        1 => StringMatch::Prefix(text),
        _ => StringMatch::Regex(text),
    })
}

fn value_match() -> impl Strategy<Value = ValueMatch> {
    option::of(string_match()).prop_map(|value| value.map_or(ValueMatch::Present, ValueMatch::String))
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    (0..4, text()).prop_map(|(kind, path)| match kind {
        0 => PathMatch::Exact(path),
        1 => PathMatch::Prefix(path),
        2 => PathMatch::PathSeparatedPrefix(path),
        _ => PathMatch::Regex(path),
    })
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    (
        option::of(path_match()),
        any::<bool>(),
        option::of(string_match()),
        vec((text(), value_match(), any::<bool>()), 0..2),
        vec((text(), value_match()), 0..2),
    )
        .prop_map(|(path, ignore_path_case, method, headers, query)| RouteMatch {
            path,
            ignore_path_case,
            method,
            scheme: None,
            authority: None,
            headers: headers
                .into_iter()
                .map(|(name, value, invert)| HeaderMatch { name, value, invert })
                .collect(),
            query: query.into_iter().map(|(name, value)| QueryMatch { name, value }).collect(),
        })
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    (1..5_u32, option::of(millis()), any::<bool>(), vec(400..600_u16, 0..3)).prop_map(
        |(attempts, per_try_timeout, ignore_previous_hosts, status_codes)| RetryPolicy {
            attempts,
            per_try_timeout,
            conditions: vec![
                RetryCondition::ServerError,
                RetryCondition::Retriable4xx,
                RetryCondition::Cancelled,
            ],
            status_codes,
            backoff: None,
            ignore_previous_hosts,
        },
    )
}

fn action() -> impl Strategy<Value = RouteAction> {
    prop_oneof![
        (
            targets(),
            option::of(text()),
            option::of(millis()),
            option::of(retry()),
            option::of((text(), 1..=1_000_000_u32))
        )
            .prop_map(|(targets, rewrite, timeout, retry, mirror)| RouteAction::Forward(Forward {
                targets,
                path_rewrite: rewrite.map(PathRewrite::Prefix),
                host_rewrite: None,
                timeout,
                retry,
                mirrors: mirror
                    .map(|(cluster, per_million)| Mirror { cluster: ClusterName::new(cluster), per_million })
                    .into_iter()
                    .collect(),
            })),
        (300..400_u16, option::of(text()), option::of(port())).prop_map(|(status, path, port)| {
            RouteAction::Redirect(Redirect {
                status,
                scheme: None,
                host: None,
                port: port.map_or(RedirectPort::FromHost, RedirectPort::Number),
                path: path.map(RedirectPath::Full),
            })
        }),
        (200..600_u16, option::of(text())).prop_map(|(status, body)| {
            RouteAction::DirectResponse(DirectResponse { status, body: body.map(ResponseBody::Text) })
        }),
    ]
}

fn cors() -> impl Strategy<Value = CorsPolicy> {
    (vec(string_match(), 0..3), vec(text(), 0..3), option::of(any::<u64>()), any::<bool>(), any::<bool>())
        .prop_map(|(allow_origins, names, max_age, allow_credentials, ignore_unmatched_preflights)| {
            CorsPolicy {
                allow_origins,
                allow_methods: names.clone(),
                allow_headers: Vec::new(),
                expose_headers: names,
                max_age,
                allow_credentials,
                ignore_unmatched_preflights,
            }
        })
}

fn route() -> impl Strategy<Value = Route> {
    (text(), text(), vec(route_match(), 0..3), action(), header_ops(), route_filters(), option::of(cors()))
        .prop_map(|(name, origin, matches, action, response_headers, filters, cors)| Route {
            name,
            origin,
            matches,
            action,
            request_headers: HeaderOps::default(),
            response_headers,
            filters,
            cors,
        })
}

fn route_table() -> impl Strategy<Value = RouteTable> {
    let virtual_host = (text(), vec(host_pattern(), 1..3), any::<bool>(), vec(route(), 0..4), header_ops())
        .prop_map(|(name, domains, redirect, routes, request_headers)| VirtualHost {
            name,
            domains,
            https_redirect: redirect.then_some(HttpsRedirect { port: None }),
            request_headers,
            response_headers: HeaderOps::default(),
            filters: RouteFilters::default(),
            routes,
        });
    vec(virtual_host, 0..3).prop_map(|virtual_hosts| RouteTable { virtual_hosts })
}

fn server_tls() -> impl Strategy<Value = ServerTls> {
    (vec("[a-z]{1,4}", 1..3), option::of((any::<bool>(), vec(text(), 0..2))), any::<bool>()).prop_map(
        |(certificates, client_auth, old)| ServerTls {
            certificates: certificates.into_iter().map(CertificateName::new).collect(),
            client_auth: client_auth.map(|(required, subject_alt_names)| ClientAuth {
                mode: if required { ClientAuthMode::Required } else { ClientAuthMode::Optional },
                ca: Some(CaName::new("ca")),
                subject_alt_names,
                spki: vec![],
                hashes: vec![],
            }),
            min_version: old.then_some(TlsVersion::V1_2),
            max_version: None,
            cipher_suites: if old { vec![CipherSuite::EcdheRsaAes128Gcm] } else { vec![] },
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
        },
    )
}

fn local_rate_limits() -> impl Strategy<Value = Vec<LocalRateLimit>> {
    let bucket = (1..9_u32, 1..9_u32, millis()).prop_map(|(max_tokens, tokens_per_fill, fill_interval)| {
        TokenBucket { max_tokens, tokens_per_fill, fill_interval }
    });
    let limit = (text(), option::of(bucket), option::of(400..600_u16), header_ops(), any::<bool>()).prop_map(
        |(name, token_bucket, status, response_headers, flag)| LocalRateLimit {
            name,
            origin: "EnvoyFilter/istio-system/limit".to_owned(),
            stat_prefix: "limit".to_owned(),
            token_bucket,
            status,
            response_headers,
            x_ratelimit_headers: flag,
            rate_limited_as_resource_exhausted: !flag,
        },
    );
    vec(limit, 0..2)
}

fn route_filters() -> impl Strategy<Value = RouteFilters> {
    let buffer = prop_oneof![
        Just(RouteBuffer::Disabled),
        any::<u32>().prop_map(|max_request_bytes| RouteBuffer::Buffer(Buffer { max_request_bytes })),
    ];
    (local_rate_limits(), option::of(buffer), option::of(any::<bool>())).prop_map(
        |(local_rate_limits, buffer, compressors_disabled)| RouteFilters {
            local_rate_limits,
            buffer,
            compressors_disabled,
        },
    )
}

fn compressor() -> impl Strategy<Value = Compressor> {
    let library = prop_oneof![
        option::of(1..10_u32).prop_map(|level| CompressorLibrary::Gzip { level }),
        option::of(0..12_u32).prop_map(|quality| CompressorLibrary::Brotli { quality, window_bits: None }),
        option::of(1..20_u32).prop_map(|level| CompressorLibrary::Zstd { level }),
    ];
    (library, option::of(any::<u32>()), vec(text(), 0..2), any::<bool>()).prop_map(
        |(library, min_content_length, content_types, flag)| Compressor {
            library,
            min_content_length,
            content_types,
            disable_on_etag_header: flag,
            remove_accept_encoding_header: !flag,
            choose_first: flag,
        },
    )
}

fn http_settings() -> impl Strategy<Value = HttpSettings> {
    let server_header = prop_oneof![Just(ServerHeader::Overwrite), Just(ServerHeader::PassThrough)];
    let escaped_slashes = prop_oneof![
        Just(EscapedSlashes::KeepUnchanged),
        Just(EscapedSlashes::RejectRequest),
        Just(EscapedSlashes::UnescapeAndForward),
    ];
    let format = prop_oneof![
        text().prop_map(AccessLogFormat::Text),
        proptest::collection::btree_map(text(), text(), 0..3).prop_map(|fields| AccessLogFormat::Json(
            fields.into_iter().map(|(k, v)| (k, v.into())).collect()
        )),
    ];
    let access_log = format.prop_map(|format| AccessLog { origin: "EnvoyFilter/a/b".to_owned(), format });
    (option::of(millis()), option::of(server_header), escaped_slashes, any::<bool>(), option::of(access_log))
        .prop_map(|(timeout, server_header, escaped_slashes, merge_slashes, access_log)| HttpSettings {
            stream_idle_timeout: timeout,
            request_timeout: timeout,
            server_header,
            escaped_slashes,
            merge_slashes,
            access_log,
            ..HttpSettings::default()
        })
}

fn http_chain() -> impl Strategy<Value = HttpChain> {
    let filters = (local_rate_limits(), vec(compressor(), 0..3), option::of(any::<u32>())).prop_map(
        |(local_rate_limits, compressors, buffer)| HttpFilters {
            local_rate_limits,
            compressors,
            buffer: buffer.map(|max_request_bytes| Buffer { max_request_bytes }),
        },
    );
    (http_settings(), filters).prop_map(|(settings, filters)| HttpChain {
        route_table: RouteTableName::new("http.80"),
        settings,
        filters,
    })
}

fn listener() -> impl Strategy<Value = Listener> {
    let tcp = || {
        (text(), targets(), option::of(millis())).prop_map(|(origin, targets, idle_timeout)| TcpForward {
            origin,
            targets,
            idle_timeout,
        })
    };
    let udp = (text(), targets(), option::of(millis()))
        .prop_map(|(origin, targets, idle_timeout)| UdpForward { origin, targets, idle_timeout });
    let action = prop_oneof![
        (server_tls(), http_chain()).prop_map(|(tls, http)| TlsAction::Terminate {
            tls: Box::new(tls),
            then: Terminated::Http(http)
        }),
        tcp().prop_map(TlsAction::Passthrough),
    ];
    let chain = (text(), vec(host_pattern(), 1..3), action)
        .prop_map(|(origin, server_names, action)| TlsChain { origin, server_names, action });
    let protocol = prop_oneof![
        http_chain().prop_map(ListenerProtocol::Http),
        tcp().prop_map(ListenerProtocol::Tcp),
        udp.prop_map(ListenerProtocol::Udp),
        vec(chain, 1..3).prop_map(|chains| ListenerProtocol::Tls { chains }),
    ];
    let proxy_protocol = option::of(
        any::<bool>().prop_map(|allowed| ProxyProtocol { allow_requests_without_proxy_protocol: allowed }),
    );
    (text(), option::of(any::<IpAddr>()), port(), vec(text(), 0..2), proxy_protocol, protocol).prop_map(
        |(name, address, port, origins, proxy_protocol, protocol)| Listener {
            name,
            address,
            port,
            service_port: port,
            origins,
            proxy_protocol,
            protocol,
        },
    )
}

fn routes() -> impl Strategy<Value = Routes> {
    let protocol = prop_oneof![
        Just(UpstreamProtocol::Http1),
        Just(UpstreamProtocol::Http2),
        Just(UpstreamProtocol::Udp)
    ];
    let cluster = (text(), protocol, any::<bool>(), millis(), option::of(any::<u32>())).prop_map(
        |(host, protocol, tls, connect_timeout, most)| Cluster {
            origin: String::new(),
            service: ServiceIdentity { host, name: String::new(), namespace: "default".to_owned() },
            protocol,
            load_balancing: LoadBalancing::LeastRequest,
            connect_timeout,
            tls: tls.then(|| UpstreamTls {
                sni: None,
                trust: UpstreamTrust::System,
                subject_alt_names: vec![ServerIdentity::Dns("a".to_owned())],
                client_certificate: None,
            }),
            circuit_breakers: CircuitBreakers {
                max_connections: most,
                max_retries: most,
                ..CircuitBreakers::default()
            },
            outlier_detection: most
                .map(|consecutive_5xx| OutlierDetection { consecutive_5xx, ..OutlierDetection::default() }),
        },
    );
    (
        vec(listener(), 0..3),
        proptest::collection::btree_map("[a-z]{1,3}".prop_map(RouteTableName::new), route_table(), 0..3),
        proptest::collection::btree_map(cluster_name(), cluster, 0..3),
    )
        .prop_map(|(listeners, route_tables, clusters)| Routes { listeners, route_tables, clusters })
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    let endpoint = (any::<IpAddr>(), port(), option::of(1..9_u32))
        .prop_map(|(address, port, weight)| Endpoint { address, port, weight });
    proptest::collection::btree_map(cluster_name(), vec(endpoint, 0..4), 0..4).prop_map(Endpoints)
}

fn certificates() -> impl Strategy<Value = (Certificates, Keys)> {
    vec(("[a-z]{1,3}", text(), option::of(text())), 0..3).prop_map(|entries| {
        let mut certificates = Certificates::default();
        let mut keys = BTreeMap::new();
        for (name, chain, ocsp_staple) in entries {
            let key = KeyId::new(format!("sha256:{name}"));
            keys.insert(key.clone(), format!("key of {name}"));
            let source = CertificateSource::Inline { chain, key, ocsp_staple };
            let certificate = Certificate { origin: format!("Secret/istio-system/{name}"), source };
            certificates.certificates.insert(CertificateName::new(name), certificate);
        }
        let ca = CaBundle {
            origin: String::new(),
            certificates: PemSource::File("/etc/ca".into()),
            crl: Some(PemSource::Inline("crl".to_owned())),
        };
        certificates.authorities.insert(CaName::new("ca"), ca);
        (certificates, Keys(keys))
    })
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let source = (text(), text(), text(), any::<i64>())
        .prop_map(|(kind, namespace, name, generation)| Source { kind, namespace, name, generation });
    (text(), vec(source, 0..4), routes(), endpoints(), certificates()).prop_map(
        |(ingress, mut sources, routes, endpoints, (certificates, keys))| {
            sources.sort();
            sources.dedup();
            Snapshot { ingress, sources, routes, endpoints, certificates, keys }
        },
    )
}
