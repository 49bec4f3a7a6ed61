//! When a session can be resumed, and when it must not.

use std::sync::Arc;

use postern_snapshot::model::{ClientAuth, ClientAuthMode, ServerTls, TlsVersion};
use postern_tls::{SessionResumption, server_config};
use rustls::{
    ClientConfig, ServerConfig, SupportedProtocolVersion,
    client::{Resumption, Tls12Resumption},
    version,
};

use crate::{
    client_auth::required,
    handshake::{Client, handshake},
    pki::{Authority, Issued, Parts},
    server::showing,
};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

struct World {
    ca: Authority,
    parts: Parts,
    client: Issued,
    resumption: SessionResumption,
}

impl World {
    fn new() -> Self {
        let ca = Authority::new("ca");
        let parts = Parts::default().certificate("a", &ca.issue(&["a.example.com"])).authorities(
            "clients",
            &ca.pem(),
            None,
        );
        let client = ca.issue(&["client"]);
        Self { ca, parts, client, resumption: SessionResumption::new().unwrap() }
    }

    fn server(&self, tls: &ServerTls) -> Arc<ServerConfig> {
        self.server_with(tls, &self.parts)
    }

    fn server_with(&self, tls: &ServerTls, parts: &Parts) -> Arc<ServerConfig> {
        server_config(tls, &parts.store(), &self.resumption).unwrap().config
    }

    fn clients(&self) -> [Arc<ClientConfig>; 2] {
        VERSIONS.map(|version| Client::trusting(&self.ca).version(version).showing(Some(&self.client)))
    }

    /// Is a session with the one resumed with the other? Also says whether one with itself is, which must always be so: it
    /// shows that the client tried.
    fn resumes(&self, one: &Arc<ServerConfig>, other: &Arc<ServerConfig>) -> bool {
        let [with_13, with_12] = self.clients().map(|client| {
            assert!(!handshake(&client, one, "a.example.com").unwrap().resumed());
            assert!(handshake(&client, one, "a.example.com").unwrap().resumed());
            handshake(&client, other, "a.example.com").unwrap().resumed()
        });
        assert_eq!(with_13, with_12);
        with_13
    }
}

fn with_client_auth(auth: ClientAuth) -> ServerTls {
    ServerTls { client_auth: Some(auth), ..showing(&["a"]) }
}

#[test]
fn sessions_survive_a_reload_and_a_new_certificate() {
    let world = World::new();
    for tls in [showing(&["a"]), with_client_auth(required(Some("clients")))] {
        let before = world.server(&tls);
        assert!(world.resumes(&before, &world.server(&tls)));
        let renewed = world.ca.issue(&["a.example.com"]);
        let after = world.server_with(&tls, &world.parts.clone().certificate("a", &renewed));
        assert!(world.resumes(&before, &after));
        for client in world.clients() {
            let done = handshake(&client, &after, "a.example.com").unwrap();
            assert_eq!(done.server_certificate(), renewed.der(), "new handshakes get the new one");
        }
    }
}

#[test]
fn the_clients_certificate_is_known_in_a_resumed_session() {
    let world = World::new();
    let server = world.server(&with_client_auth(required(Some("clients"))));
    for client in world.clients() {
        handshake(&client, &server, "a.example.com").unwrap();
        let done = handshake(&client, &server, "a.example.com").unwrap();
        assert!(done.resumed());
        assert_eq!(done.client_certificate(), Some(world.client.der()));
    }
}

#[test]
fn sessions_do_not_pass_between_different_client_auth() {
    let world = World::new();
    let required = required(Some("clients"));
    let settings = [
        showing(&["a"]),
        with_client_auth(required.clone()),
        with_client_auth(ClientAuth { mode: ClientAuthMode::Optional, ..required.clone() }),
        with_client_auth(ClientAuth { ca: None, ..required.clone() }),
        with_client_auth(ClientAuth { subject_alt_names: vec!["client".to_owned()], ..required }),
    ]
    .map(|tls| world.server(&tls));
    for (at, one) in settings.iter().enumerate() {
        for (other_at, other) in settings.iter().enumerate() {
            assert_eq!(world.resumes(one, other), at == other_at, "{at} {other_at}");
        }
    }
}

#[test]
fn sessions_end_when_authorities_or_revocations_change() {
    let world = World::new();
    let tls = with_client_auth(required(Some("clients")));
    let before = world.server(&tls);
    let more = format!("{}{}", world.ca.pem(), Authority::new("more").pem());
    let with_more = world.server_with(&tls, &world.parts.clone().authorities("clients", &more, None));
    assert!(!world.resumes(&before, &with_more));
    let crl = world.ca.revoke(&[8], 4000);
    let parts = world.parts.clone().authorities("clients", &world.ca.pem(), Some(&crl));
    let with_crl = world.server_with(&tls, &parts);
    assert!(!world.resumes(&before, &with_crl));
}

#[test]
fn sessions_do_not_pass_between_different_limits_of_versions() {
    let world = World::new();
    let limited = ServerTls { min_version: Some(TlsVersion::V1_2), ..showing(&["a"]) };
    assert!(!world.resumes(&world.server(&showing(&["a"])), &world.server(&limited)));
}

#[test]
fn sessions_do_not_pass_between_proxies() {
    let [one, other] = [(); 2].map(|()| SessionResumption::new().unwrap());
    let world = World::new();
    let [one, other] = [one, other]
        .map(|resumption| server_config(&showing(&["a"]), &world.parts.store(), &resumption).unwrap().config);
    assert!(!world.resumes(&one, &other));
}

#[test]
fn tls_1_2_clients_without_tickets_resume_too() {
    let world = World::new();
    let (plain, auth) = (showing(&["a"]), with_client_auth(required(Some("clients"))));
    let mut client =
        (*Client::trusting(&world.ca).version(&version::TLS12).showing(Some(&world.client))).clone();
    client.resumption = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    let client = Arc::new(client);
    let resumed = |tls| handshake(&client, &world.server(tls), "a.example.com").unwrap().resumed();
    assert!(!resumed(&plain));
    assert!(resumed(&plain));
    assert!(!resumed(&auth));
    assert!(resumed(&auth));
}
