//! The process of one proxy, started again when it ends by itself.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, io};

use postern_translate::IngressName;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The ports of each proxy, on the address of its ingress.
pub(super) const STATUS_PORT: u16 = 15021;
pub(super) const METRICS_PORT: u16 = 15020;
pub(super) const ADMIN_PORT: u16 = 15000;

/// The pause before the first restart; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Who ran for this long has not failed at the start.
const STABLE: Duration = Duration::from_secs(10);
/// After the drain a proxy needs a moment to end.
const MOMENT: Duration = Duration::from_secs(3);

/// How proxies are started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) access_log: String,
    pub(super) log: String,
    pub(super) drain_seconds: u16,
}

impl Program {
    /// `given`, or what stands beside this program, or what PATH has.
    pub(super) fn path(given: Option<PathBuf>) -> PathBuf {
        const NAME: &str = "postern-proxy";
        let beside =
            || Some(std::env::current_exe().ok()?.with_file_name(NAME)).filter(|path| path.is_file());
        given.or_else(beside).unwrap_or_else(|| NAME.into())
    }
}

/// What one proxy is for.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) ingress: IngressName,
    pub(super) address: IpAddr,
    pub(super) snapshot: PathBuf,
    pub(super) state: PathBuf,
}

/// A proxy ended without having been told to.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ingress: IngressName,
    how: io::Result<ExitStatus>,
    program: PathBuf,
    again_in: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy of {} ", self.ingress)?;
        match &self.how {
            Ok(status) => write!(f, "ended ({status})")?,
            Err(error) => write!(f, "cannot be started: {}: {error}", self.program.display())?,
        }
        write!(f, "; it is started again in {} s", self.again_in.as_secs_f64())
    }
}

/// A proxy that runs until it is told to end.
#[derive(Debug)]
pub(super) struct Proxy {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts it, when `before` has ended: the proxy that had the address.
    pub(super) fn start(
        program: Program,
        instance: Instance,
        before: Option<JoinHandle<()>>,
        tell: impl Fn(Ended) + Send + 'static,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // However it ended.
                let _ = before.await;
            }
            supervise(&program, &instance, stopped, tell).await;
        });
        Self { stop, task }
    }

    /// Tells it to drain and end. The handle is done when it has.
    pub(super) fn stop(self) -> JoinHandle<()> {
        // Nobody listens when it never started.
        let _ = self.stop.send(());
        self.task
    }
}

async fn supervise(
    program: &Program,
    instance: &Instance,
    mut stop: oneshot::Receiver<()>,
    tell: impl Fn(Ended),
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let how = match command(program, instance).spawn() {
            Ok(mut child) => {
                // Waiting for a child closes its input, so that is held here.
                let stdin = child.stdin.take();
                tokio::select! {
                    how = child.wait() => how,
                    _ = &mut stop => {
                        drop(stdin);
                        return end(child, program.drain_seconds).await;
                    }
                }
            }
            Err(error) => Err(error),
        };
        if started.elapsed() >= STABLE {
            pause = FIRST_PAUSE;
        }
        tell(Ended {
            ingress: instance.ingress.clone(),
            how,
            program: program.path.clone(),
            again_in: pause,
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut stop => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn command(program: &Program, instance: &Instance) -> Command {
    let mut command = Command::new(&program.path);
    command
        .arg("--snapshot")
        .arg(&instance.snapshot)
        .arg("--state")
        .arg(&instance.state)
        .args(["--address", &instance.address.to_string()])
        .args(["--status-port", &STATUS_PORT.to_string()])
        .args(["--metrics-port", &METRICS_PORT.to_string()])
        .args(["--admin-port", &ADMIN_PORT.to_string()])
        .args(["--ingress", &instance.ingress.name, "--namespace", &instance.ingress.namespace])
        .args(["--access-log", &program.access_log, "--log", &program.log])
        // Everybody here knows at once that it is gone.
        .args(["--drain-delay", "0", "--drain-seconds", &program.drain_seconds.to_string()])
        // Closing the pipe tells it to drain. The kernel does so too when this process is killed, so no proxy is left.
        .arg("--until-stdin-closes")
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for a proxy that was told to end.
async fn end(mut child: Child, drain_seconds: u16) {
    let patience = Duration::from_secs(drain_seconds.into()) + MOMENT;
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        tracing::warn!("a proxy did not end in time, and is killed");
        // It may just have ended.
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn start(path: &str) -> (Proxy, mpsc::UnboundedReceiver<Ended>) {
        let (sender, ended) = mpsc::unbounded_channel();
        let program = Program {
            path: path.into(),
            access_log: "off".to_owned(),
            log: "off".to_owned(),
            drain_seconds: 5,
        };
        let instance = Instance {
            ingress: IngressName { namespace: "istio-system".to_owned(), name: "edge".to_owned() },
            address: "127.0.0.1".parse().unwrap(),
            snapshot: "/nonexistent".into(),
            state: "/nonexistent".into(),
        };
        (Proxy::start(program, instance, None, move |event| drop(sender.send(event))), ended)
    }

    #[tokio::test]
    async fn who_ends_is_started_again_after_growing_pauses() {
        let (proxy, mut ended) = start("/bin/false");
        let first = ended.recv().await.unwrap();
        assert_eq!(
            first.to_string(),
            "the proxy of istio-system/edge ended (exit status: 1); it is started again in 0.1 s"
        );
        assert_eq!(ended.recv().await.unwrap().again_in, FIRST_PAUSE * 2);
        proxy.stop().await.unwrap();
        assert!(ended.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_said() {
        let (proxy, mut ended) = start("/nonexistent/postern-proxy");
        let said = ended.recv().await.unwrap().to_string();
        assert!(said.contains("cannot be started: /nonexistent/postern-proxy: No such file"), "{said}");
        proxy.stop().await.unwrap();
    }
}
