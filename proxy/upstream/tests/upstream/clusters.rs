//! What stays the same over reloads.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use postern_snapshot::model::{self, LoadBalancing, UpstreamProtocol};

use crate::support::{compile, endpoints, name, settings};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn plain() -> model::Cluster {
    settings(UpstreamProtocol::Http1)
}

#[test]
fn an_unchanged_cluster_is_the_same_object() {
    let first = compile(&[("a", plain()), ("b", plain())], &endpoints(&[("a", &[at(1)])]), None);
    let other = model::Cluster { load_balancing: LoadBalancing::Random, ..plain() };
    let second =
        compile(&[("a", plain()), ("b", other)], &endpoints(&[("a", &[at(1), at(2)])]), Some(&first));
    let same =
        |cluster| Arc::ptr_eq(&first.get(&name(cluster)).unwrap(), &second.get(&name(cluster)).unwrap());
    assert!(same("a"), "its endpoints change behind it");
    assert!(!same("b"));
    assert_eq!(first.get(&name("a")).unwrap().endpoint_count(), 2);
    assert!(second.get(&name("c")).is_none());
    assert_eq!(second.len(), 2);
}

#[test]
fn endpoints_are_the_same_objects_over_reloads_and_clusters() {
    let first = compile(&[("a", plain())], &endpoints(&[("a", &[at(1), at(2)])]), None);
    let endpoint = first.get(&name("a")).unwrap().endpoints()[0].clone();
    let other = model::Cluster { connect_timeout: Duration::from_secs(1), ..plain() };
    let h2 = settings(UpstreamProtocol::Http2);
    let all = endpoints(&[("a", &[at(3), at(1)]), ("b", &[at(1)]), ("c", &[at(1)])]);
    let second = compile(&[("a", other), ("b", plain()), ("c", h2)], &all, Some(&first));
    let found = |cluster, index: usize| second.get(&name(cluster)).unwrap().endpoints()[index].clone();
    assert!(Arc::ptr_eq(&found("a", 1), &endpoint));
    assert!(Arc::ptr_eq(&found("b", 0), &endpoint));
    assert!(!Arc::ptr_eq(&found("c", 0), &endpoint), "another protocol is another connection");
}

#[test]
fn only_what_changed_counts_as_changed() {
    let clusters =
        compile(&[("a", plain()), ("b", plain())], &endpoints(&[("a", &[at(1)]), ("b", &[at(2)])]), None);
    assert_eq!(clusters.update_endpoints(&endpoints(&[("a", &[at(1)]), ("b", &[at(2)])])), 0);
    assert_eq!(clusters.update_endpoints(&endpoints(&[("a", &[at(1)]), ("b", &[at(3)])])), 1);
    assert_eq!(clusters.update_endpoints(&endpoints(&[])), 2);
    assert_eq!(clusters.get(&name("a")).unwrap().endpoint_count(), 0);
}
