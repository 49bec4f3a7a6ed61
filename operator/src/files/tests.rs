use postern_translate::{Options, translate};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::new(vec![self.0.path().to_owned()])
    }

    /// `file:line:column object path message`
    fn problems(&self, reading: &Reading) -> Vec<String> {
        let line = |problem: &Problem| {
            let file = problem.file.strip_prefix(self.0.path()).unwrap().display();
            let place = problem.place.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
            let object = problem.object.as_ref().map_or_else(String::new, ToString::to_string);
            format!("{file}{place} {object} {} {}", problem.path, problem.message)
        };
        reading.problems.iter().map(line).collect()
    }
}

fn keys(reading: &Reading) -> Vec<String> {
    reading.objects.keys().map(ToString::to_string).collect()
}

fn generation(reading: &Reading, key: &str) -> i64 {
    use k8s_openapi::Metadata;
    use postern_translate::WorldObject;
    let object = reading.objects.values().find(|object| object.key.to_string() == key).unwrap();
    match object.parsed.object.as_ref().unwrap() {
        WorldObject::Namespace(object) => object.metadata().generation.unwrap(),
        WorldObject::Service(object) => object.metadata().generation.unwrap(),
        other => panic!("{other:?}"),
    }
}

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n";

#[test]
fn lists_are_their_items() {
    let folder = Folder::new(&[(
        "all.yaml",
        "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
- apiVersion: v1
  kind: ServiceList
  items:
  - metadata: {name: b, namespace: shop}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: a}
---
apiVersion: networking.istio.io/v1
kind: GatewayList
items:
- metadata: {name: web}
  spec:
    selector: {istio: x}
    servers:
    - hosts: [\"*\"]
      port: {number: 99999, name: http, protocol: HTTP}
",
    )]);
    let reading = folder.reader().read();
    assert_eq!(folder.problems(&reading), [""; 0]);
    assert_eq!(keys(&reading), ["Gateway default/web", "Service default/a", "Service shop/b"]);
    assert!(reading.has_errors() && !reading.is_incomplete());

    let gateway = reading.objects.values().find(|object| object.key.name == "web").unwrap();
    let path = &gateway.parsed.findings[0].path;
    let (_, place) = reading.locator().find(&gateway.key, path).unwrap();
    assert_eq!((path.as_str(), place.unwrap().line), ("spec.servers[0].port.number", 24));
    // What is wrong is also said by the translation.
    assert_eq!(translate(&reading.world(), &Options::default()).findings[&gateway.key].len(), 1);
}

#[test]
fn what_is_no_object_is_said_with_its_place() {
    let folder = Folder::new(&[
        ("a.yaml", "replicas: 3\nimage: {}\n"),
        ("b.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  labels: {}\n"),
        ("c.yaml", "apiVersion: v1\nkind: Service\n  metadata: x\n"),
        ("d.yaml", "# nothing\n"),
        ("e.yaml", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\n"),
        ("f.yaml", "- a\n"),
    ]);
    fs::write(folder.0.path().join("g.yaml"), [0xff]).unwrap();
    let reading = folder.reader().read();
    let problems = folder.problems(&reading);
    assert_eq!(problems[0], "g.yaml   cannot be read: invalid utf-8 sequence of 1 bytes from index 0");
    assert_eq!(problems[1], "a.yaml:1:1 object kind this is no Kubernetes object: it has no kind");
    assert_eq!(problems[2], "b.yaml:3:1 Service metadata.name the object has no name");
    assert!(problems[3].starts_with("c.yaml:3:"), "{}", problems[3]);
    assert!(problems[4].starts_with("e.yaml:1:1 AuthorizationPolicy deny "), "{}", problems[4]);
    assert_eq!(problems[5], "f.yaml:1:1 object kind this is no Kubernetes object: it has no kind");
    assert_eq!(problems.len(), 6);
    assert!(reading.is_incomplete());
}

#[test]
fn an_object_that_is_there_twice_is_an_error_that_names_both_places() {
    let folder = Folder::new(&[("a.yaml", NAMESPACE), ("b.yaml", &format!("---\n{NAMESPACE}"))]);
    let reading = folder.reader().read();
    let first = folder.0.path().join("a.yaml");
    let expected =
        format!("b.yaml:5:3 Namespace shop metadata.name this object is also in {}:4", first.display());
    assert_eq!(folder.problems(&reading), [expected]);
    assert!(reading.is_incomplete());
}

#[test]
fn generations_count_changes_of_the_content() {
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, generation: 7}\nspec: {ports: [{port: 80}]}\n";
    let folder = Folder::new(&[("a.yaml", NAMESPACE), ("b.yaml", service)]);
    let mut reader = folder.reader();
    let reading = reader.read();
    assert_eq!((generation(&reading, "Namespace shop"), generation(&reading, "Service default/a")), (1, 1));

    // Another order, another file, a comment: the same content.
    fs::remove_file(folder.0.path().join("b.yaml")).unwrap();
    folder.write("a.yaml", &format!("{NAMESPACE}\n---\n# moved\n{service}"));
    let reading = reader.read();
    assert_eq!((generation(&reading, "Namespace shop"), generation(&reading, "Service default/a")), (1, 1));

    folder.write("a.yaml", &format!("{NAMESPACE}\n---\n{}", service.replace("80", "81")));
    let reading = reader.read();
    assert_eq!((generation(&reading, "Namespace shop"), generation(&reading, "Service default/a")), (1, 2));

    folder.write("a.yaml", "kind: [");
    assert!(reader.read().is_incomplete());
    folder.write("a.yaml", service);
    assert_eq!(generation(&reader.read(), "Service default/a"), 3);
}

#[test]
fn a_file_that_did_not_change_is_not_parsed_again() {
    let folder = Folder::new(&[("a.yaml", NAMESPACE), ("b.yaml", "")]);
    let mut reader = folder.reader();
    let first = reader.read();
    folder.write("b.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: other\n");
    let second = reader.read();
    let key = first.objects.keys().next().unwrap();
    assert!(Arc::ptr_eq(&first.objects[key], &second.objects[key]));
    assert_eq!(second.objects.len(), 2);

    // Long after the last change it is not even read again.
    let long_ago = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    fs::File::options()
        .write(true)
        .open(folder.0.path().join("a.yaml"))
        .unwrap()
        .set_times(long_ago)
        .unwrap();
    let third = reader.read();
    assert!(Arc::ptr_eq(&first.objects[key], &third.objects[key]));
    assert!(third.files.values().all(|content| content.stamp.is_none()), "their times are of just now");
}
