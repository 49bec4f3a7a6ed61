//! The writer of the access log: order, batches, loss and shutdown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use postern_telemetry::access_log::{AccessLogSink, Entry, Format, Target};
use prometheus_client::metrics::counter::Counter;

const PATIENCE: Duration = Duration::from_secs(20);

fn sink(path: &Path) -> (AccessLogSink, Counter) {
    let dropped = Counter::default();
    (AccessLogSink::start(Target::File(path.to_owned()), dropped.clone()).unwrap(), dropped)
}

fn numbered(number: u64) -> Entry<'static> {
    Entry { connection_id: Some(number), ..Entry::new(UNIX_EPOCH) }
}

#[test]
fn lines_of_several_workers_all_arrive_each_workers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (sink, dropped) = sink(&path);
    let format = Format::text("%ROUTE_NAME% %CONNECTION_ID%", "h").unwrap();
    thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (log, format) = (sink.worker(), &format);
            scope.spawn(move || {
                for number in 0..5_000 {
                    log.record(format, &Entry { route_name: Some(name), ..numbered(number) });
                }
            });
        }
    });
    assert!(sink.shutdown(PATIENCE));
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count() as u64 + dropped.get(), 15_000);
    for name in ["a", "b", "c"] {
        let numbers: Vec<u64> =
            written.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok()).collect();
        assert!(!numbers.is_empty());
        assert!(numbers.is_sorted_by(|a, b| a < b), "lines of one worker keep their order");
    }
}

#[test]
fn a_flush_brings_few_lines_out_and_a_reload_changes_the_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (sink, _) = sink(&path);
    let log = sink.worker();
    log.flush();
    log.record(&Format::text("id=%CONNECTION_ID%", "h").unwrap(), &numbered(1));
    log.record(&Format::json([("id", "%CONNECTION_ID%")], "h").unwrap(), &numbered(2));
    log.flush();
    assert!(sink.shutdown(PATIENCE));
    assert_eq!(fs::read_to_string(&path).unwrap(), "id=1\n{\"id\":2}\n");
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let (sink, _) = sink(&path);
    let format = Format::text("%CONNECTION_ID%", "h").unwrap();
    let log = sink.worker();
    log.record(&format, &numbered(1));
    log.flush();
    fs::rename(&path, &old).unwrap();
    sink.reopen();
    log.record(&format, &numbered(2));
    drop(log);
    assert!(sink.shutdown(PATIENCE));
    assert_eq!(fs::read_to_string(&old).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
}

#[test]
fn a_target_that_cannot_be_opened_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::File(dir.path().join("missing").join("access.log"));
    assert!(AccessLogSink::start(target, Counter::default()).is_err());
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (sink, dropped) = sink(Path::new("/dev/full"));
    let format = Format::text("%CONNECTION_ID%", "h").unwrap();
    let log = sink.worker();
    for number in 0..3 {
        log.record(&format, &numbered(number));
    }
    drop(log);
    assert!(sink.shutdown(PATIENCE));
    assert_eq!(dropped.get(), 3);
}

/// A pipe that nobody reads: the worker goes on, what does not fit is counted, shutdown gives up, and
/// what was taken arrives once someone reads.
#[test]
fn a_reader_that_stands_still_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let reader = thread::spawn({
        let path = path.clone();
        move || fs::File::open(path).unwrap()
    });
    let (sink, dropped) = sink(&path);
    let pipe = reader.join().unwrap();
    let format = Format::text("%CONNECTION_ID% %ROUTE_NAME%", "h").unwrap();
    let filler = "x".repeat(1_000);
    let log = sink.worker();
    let lines = 10_000;
    for number in 0..lines {
        log.record(&format, &Entry { route_name: Some(&filler), ..numbered(number) });
    }
    drop(log);
    assert!(dropped.get() > 0, "10 MB do not fit into the queue");
    assert!(!sink.shutdown(Duration::from_millis(50)), "nobody reads");
    // The last sender went with the sink, so the writer ends after what is queued and closes the pipe.
    let read = BufReader::new(pipe).lines().map_while(Result::ok).count() as u64;
    assert_eq!(read + dropped.get(), lines);
}
