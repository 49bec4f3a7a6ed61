//! Getting log lines out of the process without a worker ever waiting.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::access_log::entry::Entry;
use crate::access_log::format::Format;

/// A worker hands its lines over when it holds this many bytes.
const BATCH_BYTES: usize = 16 * 1024;
/// Buffers that grew above this (by a line with huge headers) are not used again.
const LARGEST_KEPT_BUFFER: usize = 4 * BATCH_BYTES;
/// Batches that may wait for the writer; above, lines are dropped. With [`BATCH_BYTES`] about 1 MiB.
const QUEUED_BATCHES: usize = 64;
/// How long the writer waits before it tries a full pipe again.
const FULL_PIPE_WAIT: Duration = Duration::from_millis(2);

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output (Istio's `accessLogFile: /dev/stdout`).
    Stdout,
    /// A file that is appended to, and made if it does not exist.
    File(PathBuf),
}

impl Target {
    fn open(&self) -> io::Result<File> {
        match self {
            // Not `io::stdout()` itself: that looks for line ends and takes a lock on each write.
            Self::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Self::File(path) => OpenOptions::new().append(true).create(true).open(path),
        }
    }
}

#[derive(Debug)]
enum Message {
    Batch(Batch),
    Reopen,
    Close,
}

#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// Brings the buffer back to its worker.
    back: SyncSender<Vec<u8>>,
}

/// The writer of the access log: one thread that writes what the workers hand over.
#[derive(Debug)]
pub struct AccessLogSink {
    queue: SyncSender<Message>,
    dropped: Counter,
    closed: Receiver<()>,
}

impl AccessLogSink {
    /// Opens `target` and starts the writing thread. `dropped` counts lines that were lost, because
    /// the queue was full or because writing failed.
    ///
    /// # Errors
    /// The target cannot be opened, or the thread cannot be started.
    pub fn start(target: Target, dropped: Counter) -> io::Result<Self> {
        let file = target.open()?;
        let (queue, messages) = sync_channel(QUEUED_BATCHES);
        let (closing, closed) = sync_channel(1);
        let writer = Writer { target, file, dropped: dropped.clone(), failing: false };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer.run(&messages);
            // Nobody listens any more if the shutdown was given up; then there is nothing to say.
            let _ = closing.try_send(());
        })?;
        Ok(Self { queue, dropped, closed })
    }

    /// A log for one worker. To be made, or moved, before the worker runs.
    #[must_use]
    pub fn worker(&self) -> WorkerLog {
        let (back, returned) = sync_channel(2);
        WorkerLog {
            pending: RefCell::new(Pending { bytes: Vec::new(), lines: 0 }),
            queue: self.queue.clone(),
            dropped: self.dropped.clone(),
            back,
            returned,
        }
    }

    /// Opens the target anew, for a log file that was moved away. Has no effect if the queue is full.
    pub fn reopen(&self) {
        let _ = self.queue.try_send(Message::Reopen);
    }

    /// Writes out what the workers have handed over so far and ends the thread, within `patience`.
    /// Workers must have flushed (or dropped their [`WorkerLog`]s) before. Returns whether all was
    /// written in time: a pipe that nobody reads must not keep the process alive.
    #[must_use]
    pub fn shutdown(self, patience: Duration) -> bool {
        let deadline = std::time::Instant::now() + patience;
        let mut message = Message::Close;
        while let Err(error) = self.queue.try_send(message) {
            message = match error {
                TrySendError::Full(message) => message,
                TrySendError::Disconnected(_) => return true,
            };
            if std::time::Instant::now() >= deadline {
                return false;
            }
            thread::sleep(FULL_PIPE_WAIT);
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        !matches!(self.closed.recv_timeout(left), Err(RecvTimeoutError::Timeout))
    }
}

#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    lines: u64,
}

/// One worker's end of the access log: renders lines into a buffer of its own and hands full buffers
/// to the writer. Never waits; where the writer cannot keep up, lines are dropped and counted.
///
/// Call [`WorkerLog::flush`] now and then (each second or oftener), so that the lines of a quiet
/// proxy appear; dropping the log flushes too.
#[derive(Debug)]
pub struct WorkerLog {
    pending: RefCell<Pending>,
    queue: SyncSender<Message>,
    dropped: Counter,
    back: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
}

impl WorkerLog {
    /// Renders one line.
    pub fn record(&self, format: &Format, entry: &Entry<'_>) {
        let mut pending = self.pending.borrow_mut();
        if pending.bytes.capacity() == 0 {
            // Room for one more line above the limit, so that a batch seldom grows.
            pending.bytes.reserve(BATCH_BYTES + 1024);
        }
        format.render(entry, &mut pending.bytes);
        pending.lines += 1;
        if pending.bytes.len() >= BATCH_BYTES {
            self.hand_over(&mut pending);
        }
    }

    /// Hands over what is buffered, if anything is.
    pub fn flush(&self) {
        let mut pending = self.pending.borrow_mut();
        if pending.lines > 0 {
            self.hand_over(&mut pending);
        }
    }

    fn hand_over(&self, pending: &mut Pending) {
        let fresh = self.returned.try_recv().unwrap_or_default();
        let bytes = std::mem::replace(&mut pending.bytes, fresh);
        let lines = std::mem::take(&mut pending.lines);
        let batch = Batch { bytes, lines, back: self.back.clone() };
        if let Err(error) = self.queue.try_send(Message::Batch(batch)) {
            self.dropped.inc_by(lines);
            if let TrySendError::Full(Message::Batch(batch)) = error {
                let mut bytes = batch.bytes;
                bytes.clear();
                pending.bytes = bytes;
            }
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

struct Writer {
    target: Target,
    file: File,
    dropped: Counter,
    failing: bool,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            match message {
                Message::Batch(batch) => self.write(batch),
                Message::Reopen => self.reopen(),
                Message::Close => return,
            }
        }
    }

    fn write(&mut self, batch: Batch) {
        match write_all(&mut self.file, &batch.bytes) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.dropped.inc_by(batch.lines);
                // Once per outage, not once per batch.
                if !self.failing {
                    tracing::warn!(log = ?self.target, %error, "cannot write the access log");
                }
                self.failing = true;
            }
        }
        let mut buffer = batch.bytes;
        if buffer.capacity() <= LARGEST_KEPT_BUFFER {
            buffer.clear();
            // A worker that has buffers enough, or is gone, does not need this one.
            let _ = batch.back.try_send(buffer);
        }
    }

    fn reopen(&mut self) {
        match self.target.open() {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::warn!(log = ?self.target, %error, "cannot open the access log anew; the old one stays");
            }
        }
    }
}

/// `Write::write_all`, which also waits for a pipe that someone made non-blocking.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE_WAIT),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
