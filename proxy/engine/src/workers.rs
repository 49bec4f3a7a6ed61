//! The worker threads: one current-thread runtime each, which share nothing but the snapshot.

use std::{
    io,
    net::{TcpListener, UdpSocket},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use postern_upstream::Clusters;
use tokio::{sync::mpsc, task::LocalSet};

use crate::{
    listen::{ListenerSlot, accept},
    udp::{self, UdpSlot},
    worker::Worker,
};

const LOG_FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// What the control thread tells a worker.
enum Command {
    /// Accept connections here.
    Listen(TcpListener, Arc<ListenerSlot>),
    /// Take datagrams here.
    ListenUdp(UdpSocket, Arc<UdpSlot>),
    /// Let go of idle connections to what is not among these, and of UDP sessions with it.
    Retain(Arc<Clusters>),
}

/// The handles of the workers. When the last is dropped, the workers end.
#[derive(Debug)]
pub(crate) struct Workers {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each of `makers`, which makes the worker's things there.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(crate) fn start<F>(makers: impl IntoIterator<Item = F>) -> io::Result<Self>
    where
        F: FnOnce() -> Rc<Worker> + Send + 'static,
    {
        let mut workers = Self { commands: Vec::new(), threads: Vec::new() };
        for (index, make) in makers.into_iter().enumerate() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || LocalSet::new().block_on(&runtime, work(make, receiver)))?;
            workers.commands.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.commands.len()
    }

    /// Gives each worker one of the sockets.
    pub(crate) fn listen(&self, sockets: Vec<TcpListener>, slot: &Arc<ListenerSlot>) {
        for (commands, socket) in self.commands.iter().zip(sockets) {
            tell(commands, Command::Listen(socket, Arc::clone(slot)));
        }
    }

    /// The same for datagrams.
    pub(crate) fn listen_udp(&self, sockets: Vec<UdpSocket>, slot: &Arc<UdpSlot>) {
        for (commands, socket) in self.commands.iter().zip(sockets) {
            tell(commands, Command::ListenUdp(socket, Arc::clone(slot)));
        }
    }

    /// These are the clusters from now on.
    pub(crate) fn retain(&self, clusters: &Arc<Clusters>) {
        for commands in &self.commands {
            tell(commands, Command::Retain(Arc::clone(clusters)));
        }
    }

    /// Ends the workers with all that they are doing, and waits for that.
    pub(crate) fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

fn tell(commands: &mpsc::UnboundedSender<Command>, command: Command) {
    if commands.send(command).is_err() {
        tracing::error!("a worker is gone");
    }
}

/// The life of a worker.
async fn work(make: impl FnOnce() -> Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let worker = make();
    tokio::task::spawn_local(flush_log(Rc::clone(&worker)));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(socket, slot) => match tokio::net::TcpListener::from_std(socket) {
                Ok(listener) => {
                    tokio::task::spawn_local(accept(listener, slot, Rc::clone(&worker)));
                }
                Err(error) => tracing::error!(listener = %slot.name, %error, "cannot use a socket"),
            },
            Command::ListenUdp(socket, slot) => match tokio::net::UdpSocket::from_std(socket) {
                Ok(socket) => {
                    tokio::task::spawn_local(udp::serve(socket, slot, Rc::clone(&worker)));
                }
                Err(error) => tracing::error!(listener = %slot.name, %error, "cannot use a socket"),
            },
            Command::Retain(clusters) => {
                worker.pool.retain(&clusters);
                worker.sessions.retain(&clusters);
            }
        }
    }
    worker.access_log.flush();
}

/// Lines of a quiet proxy appear within a second.
async fn flush_log(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(LOG_FLUSH_INTERVAL).await;
        worker.access_log.flush();
    }
}
