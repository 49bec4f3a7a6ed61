//! The proxy under test, on threads of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use postern_engine::{Config, StartError, Stop, admin::LogControl, run};
use postern_snapshot::{ack::Ack, manifest::Hash};
use postern_telemetry::{
    access_log::{Format, Target},
    metrics::Identity,
};
use tokio::sync::oneshot;

use super::{Address, Answer, Volume, eventually, get};

/// What differs from test to test.
pub struct Options {
    pub workers: usize,
    pub state: Option<PathBuf>,
    pub access_log: Option<&'static str>,
    pub drain_delay: Duration,
    pub drain_grace: Duration,
    pub log: Arc<FakeLog>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            state: None,
            access_log: None,
            drain_delay: Duration::ZERO,
            drain_grace: Duration::from_secs(10),
            log: Arc::default(),
        }
    }
}

impl Options {
    pub fn config(self, address: &Address, snapshot: &Path, log_file: PathBuf) -> Config {
        Config {
            snapshot: snapshot.to_owned(),
            state: self.state,
            address: address.ip,
            status: address.port(15021),
            metrics: address.port(15020),
            admin: address.port(15000),
            workers: self.workers,
            access_log: self.access_log.map(|format| Format::text(format, "test").unwrap()),
            access_log_target: Target::File(log_file),
            drain_delay: self.drain_delay,
            drain_grace: self.drain_grace,
            identity: Identity {
                workload: "istio-ingressgateway".into(),
                namespace: "istio-system".into(),
                version: "test".into(),
            },
            log: self.log,
        }
    }
}

/// Takes every filter but `nonsense`.
#[derive(Debug)]
pub struct FakeLog(Mutex<String>);

impl Default for FakeLog {
    fn default() -> Self {
        Self(Mutex::new("info".into()))
    }
}

impl LogControl for FakeLog {
    fn filter(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        if filter == "nonsense" {
            return Err("no such level".into());
        }
        *self.0.lock().unwrap() = filter.into();
        Ok(())
    }
}

pub struct Proxy {
    address: Address,
    stop: Option<oneshot::Sender<Stop>>,
    done: oneshot::Receiver<Result<(), StartError>>,
    log_file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// One that serves this already.
    pub async fn serving(snapshot: &postern_snapshot::model::Snapshot) -> (Self, Volume) {
        let volume = Volume::kubelet();
        let hash = volume.publish(snapshot);
        let proxy = Self::start(volume.path(), Options::default()).await;
        proxy.applied(hash).await;
        (proxy, volume)
    }

    pub async fn start(snapshot: &Path, options: Options) -> Self {
        Self::start_at(Address::claim(), snapshot, options).await
    }

    /// Returns as soon as its status port answers.
    pub async fn start_at(address: Address, snapshot: &Path, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log_file = directory.path().join("access.log");
        let config = options.config(&address, snapshot, log_file.clone());
        let (stop, stopped) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let stop = async { stopped.await.unwrap_or(Stop::Now) };
            let result = runtime.block_on(run(config, stop));
            // A test that does not wait for the end is done already.
            let _ = done.send(result);
        });
        let proxy = Self { address, stop: Some(stop), done: ended, log_file, _directory: directory };
        eventually(|| async { tokio::net::TcpStream::connect(proxy.at(15021)).await.ok() }).await;
        proxy
    }

    pub fn at(&self, port: u16) -> SocketAddr {
        self.address.port(port)
    }

    pub async fn status(&self, path: &str) -> Answer {
        get(self.at(15021), "status", path).await
    }

    pub async fn metrics(&self) -> String {
        get(self.at(15020), "metrics", "/stats/prometheus").await.text
    }

    /// Waits for a line of the metrics that begins so, and whose value is at least this.
    pub async fn metric(&self, name: &str, labels: &[&str], at_least: f64) {
        let found = async {
            eventually(|| async {
                let metrics = self.metrics().await;
                let mut lines = metrics
                    .lines()
                    .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
                lines.find_map(|line| line.rsplit(' ').next()?.parse().ok().filter(|v: &f64| *v >= at_least))
            })
            .await
        };
        if tokio::time::timeout(Duration::from_secs(10), found).await.is_err() {
            panic!("no {name} with {labels:?} of at least {at_least} in:\n{}", self.metrics().await);
        }
    }

    pub async fn ready(&self) -> StatusCode {
        self.status("/healthz/ready").await.status
    }

    pub async fn ack(&self) -> Ack {
        serde_json::from_str(&self.status("/snapshot").await.text).unwrap()
    }

    /// The ack as soon as it is so.
    pub async fn ack_when(&self, is_so: impl Fn(&Ack) -> bool) -> Ack {
        let mut answer = self.status("/snapshot").await.text;
        loop {
            let ack = serde_json::from_str(&answer).unwrap();
            if is_so(&ack) {
                return ack;
            }
            let path = format!("/snapshot?not={}&timeout=1", Hash::of(answer.as_bytes()));
            answer = self.status(&path).await.text;
        }
    }

    /// Waits until this snapshot is served.
    pub async fn applied(&self, hash: Hash) -> Ack {
        self.ack_when(|ack| ack.applied.as_ref().is_some_and(|applied| applied.hash == hash)).await
    }

    /// Waits until a snapshot was refused as a whole; what is wrong with it.
    pub async fn rejected(&self) -> String {
        self.ack_when(|ack| ack.rejected.is_some()).await.rejected.unwrap().problem
    }

    /// Lines of the access log, once there are so many.
    pub async fn log_lines(&self, count: usize) -> Vec<String> {
        eventually(|| async {
            let log = std::fs::read_to_string(&self.log_file).unwrap_or_default();
            let lines: Vec<_> = log.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    pub fn stop(&mut self, how: Stop) {
        self.stop.take().unwrap().send(how).unwrap();
    }

    /// Waits for its end, after which its address is free.
    pub async fn ended(self) -> Address {
        self.done.await.unwrap().unwrap();
        self.address
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.done.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }
}
