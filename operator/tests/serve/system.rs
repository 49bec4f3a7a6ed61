//! `postern serve` on a copy of an example, with the backends that it needs.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use postern_snapshot::ack::Ack;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::client::{Client, Connection};

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running system.
pub(crate) struct System {
    pub(crate) folder: Folder,
    pub(crate) address: IpAddr,
    postern: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    _backends: Vec<Backend>,
}

impl System {
    /// Serves an example, and waits until it does.
    pub(crate) async fn start(example: &str) -> Self {
        Self::start_with(example, |_| {}).await
    }

    /// Serves an example after it was changed.
    pub(crate) async fn start_with(example: &str, change: impl FnOnce(&Folder)) -> Self {
        let app = Backend::start("app-service").await;
        let api = Backend::start("api-service").await;
        let folder = Folder::copy(example);
        folder.edit_all("port: 9080", &format!("port: {}", app.port));
        folder.edit_all("port: 9081", &format!("port: {}", api.port));
        change(&folder);
        let address = next_address();
        let mut postern = tokio::process::Command::new(env!("CARGO_BIN_EXE_postern"))
            .args(["serve", "--address", &address.to_string(), "--filename"])
            .arg(folder.path())
            .args(["--cacert", "ca.crt", "--proxy"])
            .arg(program("postern-proxy"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(postern.stdout.take().unwrap()).lines();
        let backends = vec![app, api];
        let mut system = Self { folder, address, postern, lines, said: Vec::new(), _backends: backends };
        system.hear("Ctrl-C ends").await;
        system
    }

    /// Waits for a line with this text, and returns everything that was said up to it since the last call.
    pub(crate) async fn hear(&mut self, text: &str) -> String {
        let heard = tokio::time::timeout(PATIENCE, async {
            let mut heard = String::new();
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push(line.clone());
                heard += &line;
                heard += "\n";
                if line.contains(text) {
                    return heard;
                }
            }
            panic!("it ended without saying {text:?}, but:\n{}", self.said.join("\n"));
        });
        let Ok(heard) = heard.await else {
            panic!("it did not say {text:?}, but:\n{}", self.said.join("\n"));
        };
        heard
    }

    /// Everything that was heard so far.
    pub(crate) fn said(&self) -> String {
        self.said.join("\n")
    }

    /// The address of the first ingress, or of one after it.
    pub(crate) fn ingress(&self, index: u8) -> IpAddr {
        let IpAddr::V4(address) = self.address else { panic!("not IPv4") };
        let [a, b, c, d] = address.octets();
        [a, b, c, d + index].into()
    }

    /// Where the first ingress listens for HTTPS.
    pub(crate) fn https(&self) -> SocketAddr {
        SocketAddr::new(self.address, 8443)
    }

    /// An HTTPS connection to the first ingress.
    pub(crate) async fn connect(&self, host: &str) -> Connection {
        Client::new().tls(self.https(), host).await.unwrap()
    }

    /// What an ingress serves.
    pub(crate) async fn ack(&self, index: u8) -> Ack {
        let status = SocketAddr::new(self.ingress(index), 15021);
        let response = Client::new().plain(status).await.unwrap().get("status", "/snapshot").await;
        serde_json::from_str(&response.body).unwrap()
    }

    /// Waits until a request is answered so.
    pub(crate) async fn until_status(&self, host: &str, path: &str, status: u16) {
        let started = Instant::now();
        loop {
            let got = self.connect(host).await.get(host, path).await.status;
            if got == status {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{host}{path} still gives {got}, not {status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The processes of the proxies.
    pub(crate) fn proxies(&self) -> Vec<u32> {
        let pid = self.postern.id().unwrap();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Sends a signal to the program and waits for its end.
    pub(crate) async fn end(&mut self, name: &str) -> ExitStatus {
        signal(self.postern.id().unwrap(), name);
        tokio::time::timeout(PATIENCE, self.postern.wait()).await.unwrap().unwrap()
    }
}

/// Sends a signal.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}

/// Waits until nobody listens there any more.
pub(crate) async fn until_closed(address: SocketAddr) {
    let started = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "{address} is still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A copy of an example.
pub(crate) struct Folder(TempDir);

impl Folder {
    fn copy(example: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        copy(&examples().join(example), folder.path());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// As a whole, as editors do: a slow machine must not see half of a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let new = path.with_extension("new~");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    /// Replaces a text that must be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, &text.replace(from, to));
    }

    fn edit_all(&self, from: &str, to: &str) {
        for (path, text) in files(self.path()) {
            fs::write(path, text.replace(from, to)).unwrap();
        }
    }
}

/// `manifests/examples`
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples")
}

fn files(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read_to_string(entry.path()).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for (path, text) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, text).unwrap();
    }
}

/// A network of its own for each test, and mostly for each run of the tests.
fn next_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let run = u8::try_from(std::process::id() % 100).unwrap();
    [127, 100 + run, NEXT.fetch_add(1, Ordering::Relaxed), 1].into()
}

/// A process of `postern-backend`.
struct Backend {
    port: u16,
    _process: Child,
}

impl Backend {
    async fn start(name: &str) -> Self {
        let mut process = tokio::process::Command::new(program("postern-backend"))
            .args(["--name", name, "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let port = line.rsplit_once(':').unwrap().1.parse().unwrap();
        Self { port, _process: process }
    }
}

/// A program of the workspace that is not this package's; built when the first test asks, in the same profile.
fn program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_postern")).parent().unwrap();
    let profile = match directory.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--locked", "--profile", profile, "-p", "postern-proxy", "-p", "postern-backend"])
        .arg("--target-dir")
        .arg(directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    directory.to_owned()
}
