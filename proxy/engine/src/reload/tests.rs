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
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl Apply for Notes {
    fn apply(&mut self, update: Update) -> Vec<Refused> {
        let note = match update {
            Update::Endpoints(_) => "endpoints",
            Update::Everything { certificates: None, .. } => "routes",
            Update::Everything { certificates: Some(_), .. } => "everything",
        };
        self.0.lock().expect("not poisoned").push(note.to_owned());
        vec![]
    }

    fn looked(&mut self, result: ReloadResult, _hash: Option<Hash>) {
        if result == ReloadResult::Refused {
            self.0.lock().expect("not poisoned").push("refused".to_owned());
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
        service: ServiceIdentity::default(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::LeastRequest,
        connect_timeout: Duration::from_secs(1),
        tls: None,
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
