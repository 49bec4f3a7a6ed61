//! `postern translate`: the objects of Istio that the Gateway API's mean, or what each ingress would serve.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use k8s_openapi::Resource as _;
use postern_api::istio::gateway::Gateway;
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_snapshot::manifest::{Hash, Source};
use postern_snapshot::model::{Certificates, Endpoints, Routes};
use postern_translate::children::settings::translate_with_settings;
use postern_translate::gateway_api::{Translated, istio_objects};
use postern_translate::{IngressName, Options, Outcome, Plan};
use serde::Serialize;

use crate::cli::{TranslateArgs, TranslateFormat};
use crate::files::Reading;
use crate::report::Report;
use crate::snapshot_directory::SnapshotDirectory;

/// Translates, and prints or writes.
pub(crate) fn run(args: &TranslateArgs) -> anyhow::Result<ExitCode> {
    let reading = args.source.read()?;
    let mut notes = anstream::stderr().lock();
    if reading.is_incomplete() {
        Report::of_reading(&reading).write_text(&mut notes)?;
        return Ok(ExitCode::FAILURE);
    }
    let started = std::time::Instant::now();
    let (world, options) = (reading.world(), args.installation.options(Options::default()));
    let (outcome, _) = translate_with_settings(&world, &options);
    tracing::debug!(took = ?started.elapsed(), "translated");
    Report::of_all(&reading, &outcome.findings).write_text(&mut notes)?;
    let mut out = std::io::stdout().lock();
    match (&args.output, args.format) {
        (Some(directory), _) => write(&outcome, directory)?,
        (None, TranslateFormat::Istio) => {
            let objects = istio_objects(&world, &options);
            tell_losses(&objects, &mut notes)?;
            print_istio(&reading, &objects, &mut out)?;
        }
        (None, TranslateFormat::Snapshot) => {
            for view in views(&outcome)? {
                write!(out, "---\n{}", yaml(&view)?)?;
            }
        }
        (None, TranslateFormat::Json) => {
            serde_json::to_writer_pretty(&mut out, &views(&outcome)?)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(outcome: &Outcome, directory: &Path) -> anyhow::Result<()> {
    for (ingress, plan) in &outcome.plans {
        let path = directory.join(&ingress.namespace).join(&ingress.name);
        let encoded = encode(&plan.snapshot, &EncodeOptions::default())?;
        SnapshotDirectory::new(path.clone())
            .write(&encoded)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn views(outcome: &Outcome) -> anyhow::Result<Vec<SnapshotView<'_>>> {
    outcome.plans.iter().map(|(name, plan)| SnapshotView::new(name, plan)).collect()
}

/// Objects for `kubectl apply`; what they do not say stands in comments above them. Objects that are Istio's already mean
/// themselves: they are named, and not written once more.
fn print_istio(reading: &Reading, objects: &[Translated], to: &mut impl Write) -> anyhow::Result<()> {
    for key in reading.objects.keys().filter(|key| key.kind.group == Gateway::GROUP) {
        writeln!(to, "# {key} is Istio's already: it stays as it is")?;
    }
    for translated in objects {
        writeln!(to, "---")?;
        for comment in translated.comments() {
            writeln!(to, "{comment}")?;
        }
        if let Some(object) = &translated.object {
            write!(to, "{}", yaml(object)?)?;
        }
    }
    Ok(())
}

/// What Istio's objects do not say is a finding of what they were translated from.
fn tell_losses(objects: &[Translated], to: &mut impl Write) -> std::io::Result<()> {
    for translated in objects {
        for note in &translated.notes {
            writeln!(to, "info: {}: in Istio's objects: {note}", translated.origin())?;
        }
    }
    Ok(())
}

fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let yaml = serde_saphyr::to_string(value)?;
    if !yaml.ends_with('\n') {
        bail!("YAML without an end: {yaml:?}");
    }
    Ok(yaml)
}

/// A snapshot as people read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotView<'a> {
    ingress: String,
    hash: Hash,
    requires: Vec<String>,
    /// The labels of its pods.
    labels: &'a BTreeMap<String, String>,
    service_ports: Vec<PortView<'a>>,
    sources: &'a [Source],
    routes: &'a Routes,
    endpoints: &'a Endpoints,
    certificates: &'a Certificates,
    keys: BTreeMap<&'a str, String>,
}

/// A port of the ingress's Service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PortView<'a> {
    name: &'a str,
    port: u16,
    protocol: &'a str,
    target_port: u16,
    app_protocol: &'a str,
}

impl<'a> SnapshotView<'a> {
    fn new(ingress: &IngressName, plan: &'a Plan) -> anyhow::Result<Self> {
        let snapshot = &plan.snapshot;
        let manifest = encode(snapshot, &EncodeOptions::default())?.manifest;
        let port = |port: &'a postern_translate::IngressPort| PortView {
            name: &port.name,
            port: port.port.number(),
            protocol: port.protocol.as_str(),
            target_port: port.target_port.number(),
            app_protocol: port.app_protocol,
        };
        let redacted = |key: &String| format!("left out ({} bytes)", key.len());
        Ok(Self {
            ingress: ingress.to_string(),
            hash: manifest.hash,
            requires: manifest.body.requires.into_iter().collect(),
            labels: &plan.labels,
            service_ports: plan.ports.iter().map(port).collect(),
            sources: &snapshot.sources,
            routes: &snapshot.routes,
            endpoints: &snapshot.endpoints,
            certificates: &snapshot.certificates,
            keys: snapshot.keys.0.iter().map(|(id, key)| (id.as_str(), redacted(key))).collect(),
        })
    }
}
