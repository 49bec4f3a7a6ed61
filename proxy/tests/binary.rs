//! The program `postern-proxy` as others start and end it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[allow(unreachable_pub, reason = "shared with the tests of the engine")]
#[path = "../engine/tests/support/address.rs"]
mod address;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use address::Address;
use postern_snapshot::{
    ClusterName, Port, RouteTableName,
    codec::{EncodeOptions, encode},
    model::{
        Cluster, DirectResponse, Endpoint, HttpChain, Listener, ListenerProtocol, LoadBalancing,
        ResponseBody, Route, RouteAction, RouteTable, ServiceIdentity, Snapshot, Target, TcpForward,
        UpstreamProtocol, VirtualHost, WeightedTarget,
    },
};

const HTTP: u16 = 8080;
const TCP: u16 = 9000;
/// Whoever waits for so long hangs.
const LIMIT: Duration = Duration::from_secs(20);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-proxy"));
    // Nothing of the surroundings of the test.
    command.env_clear();
    command
}

fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn listener(port: u16, protocol: ListenerProtocol) -> Listener {
    let port = Port::new(port).unwrap();
    Listener {
        name: format!("0.0.0.0_{port}"),
        address: None,
        port,
        service_port: port,
        origins: vec![],
        proxy_protocol: None,
        protocol,
    }
}

/// HTTP that is answered with `hello`, and TCP to a backend.
fn snapshot(backend: SocketAddr) -> Snapshot {
    let mut snapshot = Snapshot { ingress: "istio-system/test".into(), ..Snapshot::default() };
    let (table, cluster) = (RouteTableName::new("http"), ClusterName::new("backend"));
    let http = HttpChain::new(table.clone());
    let target = WeightedTarget {
        target: Target::Cluster(cluster.clone()),
        weight: 1,
        host_rewrite: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
    };
    let tcp = TcpForward { origin: String::new(), targets: vec![target], idle_timeout: None };
    snapshot.routes.listeners =
        vec![listener(HTTP, ListenerProtocol::Http(http)), listener(TCP, ListenerProtocol::Tcp(tcp))];
    let body = Some(ResponseBody::Text("hello".into()));
    let route = Route {
        name: String::new(),
        origin: String::new(),
        matches: vec![],
        action: RouteAction::DirectResponse(DirectResponse { status: 200, body }),
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        cors: None,
    };
    let domains = vec!["*".parse().unwrap()];
    let host = VirtualHost {
        name: "*:80".into(),
        domains,
        https_redirect: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        routes: vec![route],
    };
    snapshot.routes.route_tables.insert(table, RouteTable { virtual_hosts: vec![host] });
    let settings = Cluster {
        origin: String::new(),
        service: ServiceIdentity::default(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::LeastRequest,
        connect_timeout: Duration::from_secs(2),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    };
    snapshot.routes.clusters.insert(cluster.clone(), settings);
    let port = Port::new(backend.port()).unwrap();
    snapshot.endpoints.0.insert(cluster, vec![Endpoint { address: backend.ip(), port, weight: None }]);
    snapshot
}

/// A proxy that runs and is ready; killed with the test.
struct Proxy {
    child: Child,
    address: Address,
    /// What its TCP listener leads to. Nobody accepts there; the kernel does.
    _backend: TcpListener,
    _directory: tempfile::TempDir,
}

impl Proxy {
    fn start(arguments: &[&str]) -> Self {
        let address = Address::claim();
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let snapshot = snapshot(backend.local_addr().unwrap());
        for (name, content) in encode(&snapshot, &EncodeOptions::default()).unwrap().files {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let keys = encode(&snapshot, &EncodeOptions::default()).unwrap().secret_files;
        for (name, content) in keys {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let child = program()
            .args(["--snapshot", directory.path().to_str().unwrap()])
            .args(["--address", &address.ip.to_string(), "--workers", "1", "--access-log", "text"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let proxy = Self { child, address, _backend: backend, _directory: directory };
        proxy.wait_for("HTTP/1.1 200 OK");
        proxy
    }

    fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address.port(port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// Waits until the status port answers to "are you ready" like this.
    fn wait_for(&self, status: &str) {
        let started = Instant::now();
        while !self.readiness().is_some_and(|answer| answer.starts_with(status)) {
            assert!(started.elapsed() < LIMIT, "it never says {status}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn readiness(&self) -> Option<String> {
        let mut stream = self.connect(15021).ok()?;
        stream.write_all(b"GET /healthz/ready HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < LIMIT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stdout(&mut self) -> String {
        let mut all = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut all).unwrap();
        all
    }

    fn stderr(&mut self) -> String {
        let mut all = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut all).unwrap();
        all
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It has ended when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request on a connection that stays open; the answer's text.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    text(&answer)
}

#[test]
fn help_and_version() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for word in
        ["Usage: postern-proxy", "--snapshot <DIR>", "POSTERN_STATE", "--drain-delay", "[default: 15021]"]
    {
        assert!(help.contains(word), "{word} in {help}");
    }
    let version = output(&["--version"]);
    assert_eq!(text(&version.stdout), format!("postern-proxy {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_flags_are_named() {
    for (arguments, problem) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["extra"], "extra"),
        (&["--drain-delay", "soon"], "'--drain-delay <SECONDS>': not a number of seconds"),
        (&["--drain-seconds=-1"], "--drain-seconds <SECONDS>"),
        (&["--workers", "0"], "--workers <N>"),
        (&["--status-port", "70000"], "--status-port <PORT>"),
        (&["--address", "localhost"], "--address <ADDRESS>"),
        (&["--log", "a=b=c"], "--log <FILTER>"),
        (&["--log-format", "xml"], "[possible values: text, json]"),
        (&["--access-log", "%NOTHING%"], "%NOTHING%"),
    ] {
        let output = output(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(problem) && stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let address = Address::claim();
    let _somebody = TcpListener::bind(address.port(15021)).unwrap();
    let output = output(&["--snapshot", "/nonexistent", "--address", &address.ip.to_string()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let problem = format!("cannot listen on {} for status", address.port(15021));
    assert!(stderr.contains(&problem), "{stderr}");
}

#[test]
fn sigterm_ends_it_gracefully() {
    let mut proxy = Proxy::start(&["--drain-delay", "0.3", "--drain-seconds", "30"]);
    let mut open = proxy.connect(HTTP).unwrap();
    assert!(!ask(&mut open).contains("connection: close"));
    proxy.signal("TERM");
    proxy.wait_for("HTTP/1.1 503");
    // Others do not know yet.
    assert!(!ask(&mut proxy.connect(HTTP).unwrap()).contains("connection: close"));
    let mut rest = Vec::new();
    open.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"", "closed without a word");
    assert_eq!(proxy.ended().code(), Some(0));
    assert_eq!(proxy.connect(HTTP).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let log = proxy.stdout();
    assert_eq!(log.matches("\"GET / HTTP/1.1\" 200").count(), 2, "{log}");
    let stderr = proxy.stderr();
    for message in ["applied a snapshot", "draining", "drained"] {
        assert!(stderr.contains(message), "{message} in {stderr}");
    }
}

#[test]
fn sigint_ends_it_fast() {
    let mut proxy = Proxy::start(&["--drain-delay", "300"]);
    proxy.signal("INT");
    let signalled = Instant::now();
    assert_eq!(proxy.ended().code(), Some(0));
    let took = signalled.elapsed();
    eprintln!("SIGINT to exit: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_second_sigint_does_not_wait_for_anybody() {
    let mut proxy = Proxy::start(&["--drain-seconds", "300"]);
    let mut hangs = proxy.connect(TCP).unwrap();
    hangs.write_all(b"hello").unwrap();
    proxy.signal("INT");
    proxy.wait_for("HTTP/1.1 503");
    assert_eq!(proxy.child.try_wait().unwrap(), None, "a connection is open");
    proxy.signal("INT");
    assert_eq!(proxy.ended().code(), Some(1));
    assert!(proxy.stderr().contains("interrupted before the drain was over"));
}

#[test]
fn the_end_of_standard_input_ends_it_if_asked_to() {
    let mut proxy = Proxy::start(&["--until-stdin-closes"]);
    drop(proxy.child.stdin.take());
    assert_eq!(proxy.ended().code(), Some(0));
    let mut proxy = Proxy::start(&["--drain-delay", "0"]);
    drop(proxy.child.stdin.take());
    proxy.wait_for("HTTP/1.1 200 OK");
    proxy.signal("TERM");
    assert_eq!(proxy.ended().code(), Some(0));
}
