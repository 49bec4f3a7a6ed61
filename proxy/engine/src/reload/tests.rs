//! The reload on real directories, with a fake proxy that notes what it is told.

use std::{fs, path::Path, sync::Mutex};

use postern_snapshot::{
    ClusterName, KeyId,
    codec::{EncodeOptions, encode},
    manifest::MANIFEST_FILE,
    model::{Cluster, LoadBalancing, ServiceIdentity, Snapshot, UpstreamProtocol},
};

use super::*;

/// Which parts each update brought.
#[derive(Debug, Clone, Default)]
struct Notes {
    notes: Arc<Mutex<Vec<String>>>,
    stale: Arc<Mutex<bool>>,
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().expect("not poisoned"))
    }
}

impl Apply for Notes {
    fn apply(&mut self, update: Update) -> Vec<Refused> {
        let note = match update {
            Update::Endpoints(_) => "endpoints",
            Update::Everything { certificates: None, .. } => "routes",
            Update::Everything { certificates: Some(_), .. } => "everything",
        };
        self.notes.lock().expect("not poisoned").push(note.to_owned());
        *self.stale.lock().expect("not poisoned") = false;
        vec![]
    }

    fn is_stale(&self) -> bool {
        *self.stale.lock().expect("not poisoned")
    }

    fn retry(&mut self) -> Option<Vec<Refused>> {
        None
    }

    fn looked(&mut self, result: ReloadResult, _hash: Option<Hash>) {
        if result == ReloadResult::Refused {
            self.notes.lock().expect("not poisoned").push("refused".to_owned());
        }
    }
}

struct Setup {
    mounted: tempfile::TempDir,
    state: tempfile::TempDir,
    notes: Notes,
    progress: Arc<Progress>,
}

impl Setup {
    fn new() -> Self {
        Self {
            mounted: tempfile::tempdir().expect("a directory"),
            state: tempfile::tempdir().expect("a directory"),
            notes: Notes::default(),
            progress: Arc::new(Progress::new("test")),
        }
    }

    /// A proxy that starts now.
    fn reloader(&mut self) -> Reloader<Notes> {
        self.progress = Arc::new(Progress::new("test"));
        Reloader::new(
            self.mounted.path().to_owned(),
            Some(LastGood::new(self.state.path().to_owned())),
            Arc::clone(&self.progress),
            self.notes.clone(),
        )
    }

    fn write(&self, snapshot: &Snapshot) {
        let encoded = encode(snapshot, &EncodeOptions::default()).expect("encodable");
        for (name, content) in encoded.files.iter().chain(&encoded.secret_files) {
            fs::write(self.mounted.path().join(name), content).expect("written");
        }
    }

    fn served(&self) -> Option<String> {
        self.progress.ack().applied.map(|applied| applied.ingress)
    }

    fn rejected(&self) -> Option<String> {
        self.progress.ack().rejected.map(|rejected| rejected.problem)
    }
}

fn snapshot(ingress: &str) -> Snapshot {
    Snapshot { ingress: ingress.to_owned(), ..Snapshot::default() }
}

fn cluster() -> Cluster {
    Cluster {
        origin: String::new(),
        service: ServiceIdentity::default(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::LeastRequest,
        connect_timeout: Duration::from_secs(1),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    }
}

fn remove_part(directory: &Path, part: &str) {
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(part)) {
            fs::remove_file(path).expect("removed");
        }
    }
}

#[test]
fn only_what_changed_is_read_again() {
    let mut setup = Setup::new();
    let mut reloader = setup.reloader();
    let mut current = snapshot("ns/a");
    setup.write(&current);
    reloader.look();
    reloader.look();
    current.endpoints.0.insert(ClusterName::new("a"), vec![]);
    setup.write(&current);
    reloader.look();
    current.routes.clusters.insert(ClusterName::new("a"), cluster());
    setup.write(&current);
    reloader.look();
    current.keys.0.insert(KeyId::new("a"), "key".to_owned());
    setup.write(&current);
    reloader.look();
    assert_eq!(setup.notes.take(), ["everything", "endpoints", "routes", "everything"]);
}

#[test]
fn a_damaged_snapshot_changes_nothing_and_is_said_once() {
    let mut setup = Setup::new();
    let mut reloader = setup.reloader();
    setup.write(&snapshot("ns/a"));
    reloader.look();
    let good = fs::read(setup.mounted.path().join(MANIFEST_FILE)).expect("readable");
    fs::write(setup.mounted.path().join(MANIFEST_FILE), &good[..good.len() / 2]).expect("written");
    reloader.look();
    reloader.look();
    assert_eq!(setup.served().as_deref(), Some("ns/a"));
    assert!(setup.rejected().is_some_and(|problem| problem.contains(MANIFEST_FILE)));
    assert_eq!(setup.notes.take(), ["everything", "refused"]);

    fs::write(setup.mounted.path().join(MANIFEST_FILE), &good).expect("written");
    reloader.look();
    assert_eq!(setup.rejected(), None, "it is good again");
    assert_eq!(setup.notes.take(), Vec::<String>::new(), "and nothing had to be applied");
}

#[tokio::test(start_paused = true)]
async fn missing_files_are_waited_for_and_then_refused() {
    let mut setup = Setup::new();
    let mut reloader = setup.reloader();
    setup.write(&snapshot("ns/a"));
    remove_part(setup.mounted.path(), "endpoints.");
    reloader.look();
    assert_eq!((setup.served(), setup.rejected()), (None, None));
    tokio::time::advance(PATIENCE_FOR_FILES).await;
    reloader.look();
    assert!(setup.rejected().is_some_and(|problem| problem.contains("endpoints")));
    setup.write(&snapshot("ns/a"));
    reloader.look();
    assert_eq!((setup.served().as_deref(), setup.rejected()), (Some("ns/a"), None));
}

#[test]
fn after_a_restart_beside_a_bad_snapshot_the_last_good_one_is_served() {
    let mut setup = Setup::new();
    setup.write(&snapshot("ns/good"));
    setup.reloader().look();
    fs::write(setup.mounted.path().join(MANIFEST_FILE), r#"{"format": 99}"#).expect("written");
    let mut restarted = setup.reloader();
    restarted.look();
    assert_eq!(setup.served().as_deref(), Some("ns/good"));
    assert!(
        setup.rejected().is_some_and(|problem| problem.contains("format 99")),
        "and the bad one is named"
    );
    restarted.look();
    assert_eq!(setup.notes.take(), ["everything", "everything", "refused"], "once");
    setup.write(&snapshot("ns/newer"));
    restarted.look();
    assert_eq!(setup.served().as_deref(), Some("ns/newer"));
}

#[test]
fn after_a_restart_with_an_empty_volume_the_last_good_one_is_served() {
    let mut setup = Setup::new();
    setup.write(&snapshot("ns/good"));
    setup.reloader().look();
    setup.mounted = tempfile::tempdir().expect("a directory");
    setup.reloader().look();
    assert_eq!(setup.served().as_deref(), Some("ns/good"));
}

#[test]
fn a_named_file_that_changed_applies_the_snapshot_anew_also_beside_a_bad_one() {
    let mut setup = Setup::new();
    let mut reloader = setup.reloader();
    setup.write(&snapshot("ns/a"));
    reloader.look();
    let stale = Arc::clone(&setup.notes.stale);
    let make_stale = || *stale.lock().expect("not poisoned") = true;
    make_stale();
    reloader.look();
    reloader.look();
    assert_eq!(setup.notes.take(), ["everything", "everything"]);

    fs::write(setup.mounted.path().join(MANIFEST_FILE), "{}").expect("written");
    reloader.look();
    make_stale();
    reloader.look();
    assert_eq!(setup.notes.take(), ["refused", "everything"], "read from where the last good one is kept");
    assert!(setup.rejected().is_some(), "the newest is still bad");
    assert_eq!(setup.served().as_deref(), Some("ns/a"));
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_nothing() {
    let mut setup = Setup::new();
    let file = setup.state.path().join("file");
    fs::write(&file, "").expect("written");
    let last_good = Some(LastGood::new(file.join("state")));
    setup.progress = Arc::new(Progress::new("test"));
    let progress = Arc::clone(&setup.progress);
    let mounted = setup.mounted.path().to_owned();
    let mut reloader = Reloader::new(mounted, last_good, progress, setup.notes.clone());
    reloader.look();
    setup.write(&snapshot("ns/a"));
    reloader.look();
    assert_eq!((setup.served().as_deref(), setup.rejected()), (Some("ns/a"), None));
}
