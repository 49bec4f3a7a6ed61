//! `postern check`, `translate` and `completions`, as scripts call them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postern_snapshot::codec::decode;
use serde_json::{Value, json};

struct Output {
    code: i32,
    stdout: String,
    stderr: String,
}

fn postern(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who reads no input may have closed it already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn example(name: &str) -> String {
    examples().join(name).display().to_string()
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples")
}

const BAD: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: shop
spec:
  hosts: [shop.com]
  gateways: [istio-system/nowhere]
  http:
  - timeout: 5
    route:
    - destination:
        host: shop
  - rout: []
    directResponse:
      status: 200
";

#[test]
fn the_examples_have_nothing_to_say() {
    for name in ["web-gateway", "multi-domain", "canary", "gateway-api"] {
        let output = postern(&["check", "-f", &example(name)], "");
        assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{name}");
        assert!(output.stderr.contains("objects: nothing to say"), "{}", output.stderr);
    }
}

#[test]
fn check_names_file_object_and_field() {
    let output = postern(&["check", "-f", "-"], BAD);
    let lines: Vec<_> = output.stdout.lines().collect();
    let expected = [
        "<standard input>:8:14: error: VirtualService default/shop: spec.gateways[0]: there is no Gateway istio-system/nowhere",
        "<standard input>:10:5: error: VirtualService default/shop: spec.http[0].timeout: invalid type: integer `5`, expected a string [IST0106]",
        "<standard input>:14:5: warning: VirtualService default/shop: spec.http[1].rout: unknown field \"rout\"; it is ignored [IST0133]",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("1 object: 2 errors, 1 warning"), "{}", output.stderr);
}

#[test]
fn check_as_json_says_the_same() {
    let output = postern(&["check", "-f", "-", "--format", "json"], BAD);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((output.code, &report["errors"], &report["warnings"]), (1, &json!(2), &json!(1)));
    assert_eq!(
        report["findings"][1],
        json!({
            "file": "-", "line": 10, "column": 5, "path": "spec.http[0].timeout", "level": "ERROR",
            "object": {"kind": "VirtualService", "namespace": "default", "name": "shop"},
            "code": "IST0106", "condition": "Accepted", "reason": "Invalid",
            "message": "invalid type: integer `5`, expected a string",
        })
    );
}

#[test]
fn the_exit_code_follows_the_level() {
    let warning = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n";
    let code = |more: &[&str]| postern(&[&["check", "-f", "-"], more].concat(), warning).code;
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&["--fail-on", "warning"]), 1);
    assert_eq!(code(&["--fail-on", "info"]), 1);
    let syntax = postern(&["check", "-f", "-"], "a: [\n");
    assert_eq!(syntax.code, 1);
    assert!(syntax.stdout.starts_with("<standard input>:1:4: error: "), "{}", syntax.stdout);
    assert_eq!(postern(&["check", "-f", "/nonexistent"], "").code, 1);
    assert_eq!(postern(&["check"], "").code, 2, "wrong usage");
}

#[test]
fn what_could_not_be_read_is_not_taken_for_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
    fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
    let output = postern(&["check", "-f", folder.path().to_str().unwrap()], "");
    assert!(!output.stdout.contains("there is no Gateway"), "{}", output.stdout);
    assert!(output.stdout.contains("spec.http[0].timeout"), "{}", output.stdout);
    assert!(output.stderr.contains("was not checked"), "{}", output.stderr);
}

#[test]
fn translate_is_readable_the_same_each_time_and_without_keys() {
    let all = |format| postern(&["translate", "-f", &example("canary"), "--format", format], "");
    let yaml = all("snapshot");
    assert_eq!((yaml.code, yaml.stderr.as_str()), (0, ""));
    assert_eq!(yaml.stdout, all("snapshot").stdout);
    assert!(!yaml.stdout.contains("PRIVATE KEY"));
    assert!(yaml.stdout.contains("left out (241 bytes)"), "{}", yaml.stdout);

    let from_yaml: Vec<Value> = serde_saphyr::from_multiple(&yaml.stdout).unwrap();
    let from_json: Vec<Value> = serde_json::from_str(&all("json").stdout).unwrap();
    assert_eq!(from_yaml, from_json);
    let ingresses: Vec<_> = from_json.iter().map(|view| view["ingress"].as_str().unwrap()).collect();
    assert_eq!(ingresses, ["istio-system/istio-canary-ingressgateway", "istio-system/istio-ingressgateway"]);
    // In a cluster nothing is moved.
    assert_eq!(from_json[1]["routes"]["listeners"][0]["port"], 80);
}

#[test]
fn translate_says_what_is_wrong_and_goes_on() {
    let output =
        postern(&["translate", "-f", "-", "-f", &example("web-gateway"), "--format", "snapshot"], BAD);
    assert_eq!(output.code, 0);
    assert!(output.stderr.contains("VirtualService default/shop: spec.http[0].timeout"), "{}", output.stderr);
    assert!(output.stdout.contains("VirtualService/default/web-routing"));
    let broken = postern(&["translate", "-f", "-"], "a: [\n");
    assert_eq!((broken.code, broken.stdout.as_str()), (1, ""));
}

#[test]
fn translate_writes_what_a_proxy_loads() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("snapshots");
    let arguments = ["translate", "--filename", &example("canary"), "--output", directory.to_str().unwrap()];
    for _ in 0..2 {
        assert_eq!(postern(&arguments, "").code, 0);
        for name in ["istio-ingressgateway", "istio-canary-ingressgateway"] {
            let entries =
                fs::read_dir(directory.join("istio-system").join(name)).unwrap().map(Result::unwrap);
            let files: BTreeMap<String, Vec<u8>> = entries
                .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
                .collect();
            assert_eq!(files.len(), 5, "a manifest and four parts: {:?}", files.keys());
            let (_, snapshot) = decode(&files).unwrap();
            assert_eq!(snapshot.ingress, format!("istio-system/{name}"));
            assert!(snapshot.keys.0.values().all(|key| key.contains("PRIVATE KEY")));
        }
    }
}

#[test]
fn completions_are_scripts() {
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef postern"), ("fish", "complete -c postern")]
    {
        let output = postern(&["completions", shell], "");
        assert_eq!(output.code, 0);
        assert!(output.stdout.contains(sign), "{shell}");
    }
}

#[test]
fn help_has_examples() {
    for command in ["serve", "translate", "check", "completions"] {
        let output = postern(&[command, "--help"], "");
        assert!(output.stdout.contains("Examples:\n  "), "{command}");
        assert!(output.stdout.contains(&format!("postern {command}")), "{command}");
    }
}

#[test]
fn serve_cannot_watch_its_input() {
    let output = postern(&["serve", "-f", "-"], "");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("standard input cannot be watched"), "{}", output.stderr);
}

#[test]
fn translate_writes_istio_objects_in_place_of_the_gateway_apis() {
    let arguments = ["translate", "-f", &example("gateway-api")];
    let output = postern(&arguments, "");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout, postern(&arguments, "").stdout, "the same each time");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&output.stdout).unwrap();
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Gateway", "Gateway", "VirtualService", "VirtualService"]);
    let origin = |object: &Value| object["metadata"]["annotations"]["postern.dev/translated-from"].clone();
    assert_eq!(origin(&objects[1]), "Gateway default/web listener https");
}

#[test]
fn objects_that_are_istios_already_are_named() {
    let output = postern(&["translate", "-f", &example("web-gateway")], "");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let named = "# VirtualService default/web-routing is Istio's already: it stays as it is\n";
    assert!(output.stdout.contains(named), "{}", output.stdout);
    assert!(output.stdout.lines().all(|line| line.starts_with('#')), "{}", output.stdout);
}

const SETTINGS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: postern
  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: options}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: options}
data: {deployment: 'spec: {selector: {matchLabels: {a: b}}}'}
---
apiVersion: postern.dev/v1alpha1
kind: IngressGateway
metadata: {name: edge}
spec: {podOverlay: {spec: {containers: [{image: x}]}}}
";

#[test]
fn check_looks_at_settings_too() {
    let output = postern(&["check", "-f", "-"], SETTINGS);
    let kept =
        "ConfigMap default/options: data.deployment.spec.selector: Postern needs it as it is, so it stays";
    assert!(output.stdout.contains(kept), "{}", output.stdout);
    assert!(
        output.stdout.contains("IngressGateway default/edge: spec.selector: no Gateway"),
        "{}",
        output.stdout
    );
}

const LOSSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: postern
  addresses: [{value: 192.0.2.7}]
  listeners: [{name: http, port: 80, protocol: HTTP}]
";

#[test]
fn what_istio_cannot_say_is_a_comment_and_a_finding() {
    let output = postern(&["translate", "-f", "-"], LOSSES);
    let note = "the Gateway's addresses: left out";
    assert!(output.stdout.contains(&format!("\n# {note}")), "{}", output.stdout);
    let finding = format!("info: Gateway default/web listener http: in Istio's objects: {note}");
    assert!(output.stderr.contains(&finding), "{}", output.stderr);
}
