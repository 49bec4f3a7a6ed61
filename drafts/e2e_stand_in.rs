//! Throwaway: stands in for `postern run` so that the e2e tests can be tried.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::Client;
use postern_api::istio::{destination_rule::DestinationRule, envoy_filter::EnvoyFilter, gateway::Gateway, service_entry::ServiceEntry, virtual_service::VirtualService};
use postern_api::meta::ObjectKey;
use postern_api::object::IstioObject;
use postern_api::parse::parse;
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_snapshot::manifest::Hash;
use postern_translate::children::elsewhere::{Workload, managed_elsewhere};
use postern_translate::children::publication::{Published, Write, publication};
use postern_translate::children::settings::match_settings;
use postern_translate::children::{ChildDefaults, REPLICAS_MANAGER, ingress_of, plan_children};
use postern_translate::status::{ApplyProblem, IngressView, Proxy, ProxyAck, Subject, claims_programmed, status_of};
use postern_translate::{Finding, IngressName, Options, World, WorldObject, translate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct K { group: &'static str, version: &'static str, kind: &'static str, plural: &'static str, selector: &'static str }
const M: &str = "app.kubernetes.io/managed-by=postern";
const fn k(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str, selector: &'static str) -> K { K { group, version, kind, plural, selector } }
const GW: K = k("networking.istio.io", "v1", "Gateway", "gateways", "");
const VS: K = k("networking.istio.io", "v1", "VirtualService", "virtualservices", "");
const DR: K = k("networking.istio.io", "v1", "DestinationRule", "destinationrules", "");
const SE: K = k("networking.istio.io", "v1", "ServiceEntry", "serviceentries", "");
const EF: K = k("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters", "");
const IG: K = k("postern.dev", "v1alpha1", "IngressGateway", "ingressgateways", "");
const SVC: K = k("", "v1", "Service", "services", "");
const SEC: K = k("", "v1", "Secret", "secrets", "");
const NS: K = k("", "v1", "Namespace", "namespaces", "");
const ES: K = k("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "");
const POD: K = k("", "v1", "Pod", "pods", "");
const DEP: K = k("apps", "v1", "Deployment", "deployments", "");
const CM: K = k("", "v1", "ConfigMap", "configmaps", M);
const SA: K = k("", "v1", "ServiceAccount", "serviceaccounts", M);
const PDB: K = k("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", M);
const HPA: K = k("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", M);
const ALL: [K; 16] = [GW, VS, DR, SE, EF, IG, SVC, SEC, NS, ES, POD, DEP, CM, SA, PDB, HPA];

impl K {
    fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }
    fn api_version(&self) -> String { if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) } }
    fn api(&self, client: &Client, ns: &str) -> Api<DynamicObject> { Api::namespaced_with(client.clone(), ns, &self.resource()) }
}

type Id = (String, String);
#[derive(Default)]
struct Store { objects: HashMap<K, BTreeMap<Id, Arc<Value>>>, ready: BTreeSet<K> }

async fn watch(client: Client, kind: K, store: Arc<Mutex<Store>>, notify: Arc<Notify>) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource());
    let mut config = watcher::Config::default();
    if !kind.selector.is_empty() { config = config.labels(kind.selector); }
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let mut fresh: BTreeMap<Id, Arc<Value>> = BTreeMap::new();
    let of = |mut object: DynamicObject| {
        object.metadata.managed_fields = None;
        let id = (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
        let mut value = serde_json::to_value(&object).unwrap_or_default();
        value["apiVersion"] = json!(kind.api_version());
        value["kind"] = json!(kind.kind);
        (id, Arc::new(value))
    };
    loop {
        let event = match stream.try_next().await { Ok(Some(event)) => event, Ok(None) => return, Err(error) => { eprintln!("watch {}: {error}", kind.plural); continue } };
        let mut store = store.lock().unwrap();
        match event {
            watcher::Event::Init => fresh.clear(),
            watcher::Event::InitApply(object) => { let (id, value) = of(object); fresh.insert(id, value); continue }
            watcher::Event::InitDone => { store.objects.insert(kind, std::mem::take(&mut fresh)); store.ready.insert(kind); }
            watcher::Event::Apply(object) => { let (id, value) = of(object); store.objects.entry(kind).or_default().insert(id, value); }
            watcher::Event::Delete(object) => { let (id, _) = of(object); store.objects.entry(kind).or_default().remove(&id); }
        }
        drop(store);
        notify.notify_one();
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    match serde_json::from_value(value.clone()) { Ok(it) => Some(it), Err(error) => { eprintln!("read {}: {error}", value["metadata"]["name"]); None } }
}

struct Objects(HashMap<K, BTreeMap<Id, Arc<Value>>>);
impl Objects {
    fn of(&self, kind: K) -> impl Iterator<Item = &Arc<Value>> { self.0.get(&kind).into_iter().flat_map(BTreeMap::values) }
    fn all<T: DeserializeOwned>(&self, kind: K) -> Vec<T> { self.of(kind).filter_map(|it| typed(it)).collect() }
}

fn istio<T: IstioObject + Into<WorldObject>>(objects: &Objects, kind: K, without: &BTreeSet<ObjectKey>, world: &mut postern_translate::WorldBuilder) {
    for value in objects.of(kind) {
        let text = |f: &str| value["metadata"][f].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::new::<T>(text("namespace"), text("name"));
        if without.contains(&key) { continue }
        let parsed = parse::<T>((**value).clone());
        let parsed = postern_api::parse::Parsed { object: parsed.object.map(Into::into), findings: parsed.findings, dropped: parsed.dropped };
        world.parsed::<WorldObject>(key, parsed);
    }
}
fn core<T: DeserializeOwned + Into<WorldObject>>(objects: &Objects, kind: K, world: &mut postern_translate::WorldBuilder) {
    for object in objects.all::<T>(kind) { world.object(object); }
}

#[derive(Default)]
struct Memory {
    applied: BTreeMap<IngressName, (String, Vec<ApplyProblem>)>,
    published: BTreeMap<IngressName, Published>,
    since: BTreeMap<ObjectKey, (String, i64, u64, bool)>,
    rounds: BTreeMap<Hash, u64>,
    round: u64,
    // last good certificates
    secrets: BTreeMap<Id, Arc<Value>>,
}

type Acks = Arc<Mutex<HashMap<String, Arc<ProxyAck>>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let store = Arc::new(Mutex::new(Store::default()));
    let notify = Arc::new(Notify::new());
    for kind in ALL { tokio::spawn(watch(client.clone(), kind, store.clone(), notify.clone())); }
    let acks = Acks::default();
    tokio::spawn(poll(store.clone(), acks.clone(), notify.clone()));
    tokio::spawn(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("[::]:8080").await.unwrap();
        loop {
            let Ok((mut s, _)) = listener.accept().await else { continue };
            let _ = s.read(&mut [0; 1024]).await;
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
        }
    });
    let mut memory = Memory::default();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! { () = notify.notified() => {}, _ = terminate.recv() => return Ok(()) }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let objects = { let store = store.lock().unwrap(); if store.ready.len() < ALL.len() { continue } Objects(store.objects.clone()) };
        if let Err(error) = round(&client, &objects, &acks, &mut memory).await { eprintln!("round: {error:#}"); tokio::time::sleep(Duration::from_millis(300)).await; notify.notify_one(); }
    }
}

async fn get(ip: &str) -> Option<postern_snapshot::ack::Ack> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let work = async {
        let mut stream = tokio::net::TcpStream::connect((ip, 15021)).await.ok()?;
        stream.write_all(b"GET /snapshot HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.ok()?;
        let at = all.windows(4).position(|w| w == b"\r\n\r\n")?;
        serde_json::from_slice(&all[at + 4..]).ok()
    };
    tokio::time::timeout(Duration::from_secs(1), work).await.ok().flatten()
}

async fn poll(store: Arc<Mutex<Store>>, acks: Acks, notify: Arc<Notify>) {
    loop {
        let pods: Vec<Arc<Value>> = { let s = store.lock().unwrap(); s.objects.get(&POD).into_iter().flat_map(BTreeMap::values).filter(|p| p["metadata"]["labels"]["postern.dev/ingress"].is_string()).cloned().collect() };
        for pod in pods {
            let (Some(ip), Some(uid)) = (pod["status"]["podIP"].as_str(), pod["metadata"]["uid"].as_str()) else { continue };
            if let Some(ack) = get(ip).await {
                let ack = Arc::new(ProxyAck::from(ack));
                let mut acks = acks.lock().unwrap();
                if acks.get(uid) != Some(&ack) { acks.insert(uid.to_owned(), ack); notify.notify_one(); }
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && pod.status.as_ref().and_then(|s| s.conditions.as_ref()).is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

async fn round(client: &Client, objects: &Objects, acks: &Acks, memory: &mut Memory) -> anyhow::Result<()> {
    memory.round += 1;
    let options = Options::default();
    let gateways: Vec<Gateway> = objects.of(GW).filter_map(|v| parse::<Gateway>((**v).clone()).object).collect();
    let pods: Vec<Pod> = objects.all(POD);
    let deployments: Vec<Deployment> = objects.all(DEP);
    let alive = |p: &&Pod| p.status.as_ref().and_then(|s| s.phase.as_deref()).is_none_or(|p| p != "Succeeded" && p != "Failed") && p.metadata.deletion_timestamp.is_none();
    let workloads: Vec<Workload> = pods.iter().filter(alive).map(|p| Workload::of_pod(&p.metadata)).chain(deployments.iter().map(Workload::of_deployment)).collect();
    let elsewhere = managed_elsewhere(&gateways, &workloads);
    let mut world = World::builder();
    istio::<Gateway>(objects, GW, &elsewhere.gateways, &mut world);
    let none = BTreeSet::new();
    istio::<VirtualService>(objects, VS, &none, &mut world);
    istio::<DestinationRule>(objects, DR, &none, &mut world);
    istio::<ServiceEntry>(objects, SE, &none, &mut world);
    istio::<EnvoyFilter>(objects, EF, &none, &mut world);
    core::<Service>(objects, SVC, &mut world);
    core::<EndpointSlice>(objects, ES, &mut world);
    core::<Namespace>(objects, NS, &mut world);
    for secret in objects.all::<Secret>(SEC) { if secret.type_.as_deref() == Some("kubernetes.io/tls") { world.object(secret); } }
    let mut outcome = translate(&world.build(), &options);
    let settings: Vec<IngressGateway> = objects.of(IG).filter_map(|v| typed::<IngressGateway>(v)).collect();
    let matched = match_settings(&outcome.plans, &settings);
    let mut findings: BTreeMap<ObjectKey, Vec<Finding>> = outcome.findings.clone();
    for (key, finding) in elsewhere.findings { findings.entry(key).or_default().push(finding); }
    for (key, found) in matched.findings { findings.entry(key).or_default().extend(found); }
    let defaults = ChildDefaults { image: "postern-proxy:dev".into(), image_pull_policy: None };
    let mut hashes = BTreeMap::new();
    for (name, plan) in &mut outcome.plans {
        let settings = &matched.settings[name];
        settings.write_into(&mut plan.snapshot);
        let encoded = encode(&plan.snapshot, &EncodeOptions::default())?;
        hashes.insert(name.clone(), encoded.manifest.hash);
        memory.rounds.insert(encoded.manifest.hash, memory.round);
        let children = plan_children(plan, settings, &defaults);
        for finding in children.findings.clone() { findings.entry(finding.object.clone()).or_default().push(finding); }
        let mut stamp = format!("{:?}{:?}", children.objects()?, children.replicas);
        for kind in [DEP, SVC, SA, PDB, HPA] {
            let value = objects.0.get(&kind).and_then(|o| o.get(&(name.namespace.clone(), name.name.clone())));
            stamp += &value.map_or(String::new(), |v| { let mut v = (**v).clone(); v["status"] = Value::Null; v["metadata"]["resourceVersion"] = Value::Null; v["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = Value::Null; v.to_string() });
        }
        if memory.applied.get(name).is_none_or(|(s, _)| *s != stamp) {
            let problems = apply(client, name, &children).await?;
            memory.applied.insert(name.clone(), (stamp, problems));
        }
        let mine = |id: &Id| id.0 == name.namespace;
        let maps: Vec<ConfigMap> = objects.0[&CM].iter().filter(|(id, _)| mine(id)).filter_map(|(_, v)| typed(v)).collect();
        let secrets: Vec<Secret> = objects.0[&SEC].iter().filter(|(id, v)| mine(id) && v["metadata"]["labels"]["postern.dev/ingress"].is_string()).filter_map(|(_, v)| typed(v)).collect();
        let published = Published::read(name, &maps, &secrets);
        let published = if memory.published.get(name).is_some_and(|p| p.hash() == Some(encoded.manifest.hash)) && published.hash().is_some() { memory.published[name].clone() } else { published };
        let plan = publication(&encoded, name, settings, &published)?;
        if !plan.is_empty() {
            let mut now = published;
            for write in plan.writes() { put(client, name, write).await?; now.record(name, write); }
            memory.published.insert(name.clone(), now);
            for pod in pods.iter().filter(|p| ingress_of(&p.metadata).as_ref() == Some(name) && p.metadata.deletion_timestamp.is_none()) {
                let patch = json!({"metadata": {"annotations": {"postern.dev/nudge": encoded.manifest.hash.short()}}});
                let _ = POD.api(client, &name.namespace).patch(pod.metadata.name.as_deref().unwrap_or_default(), &PatchParams::default(), &Patch::Merge(patch)).await;
            }
        }
    }
    delete(client, objects, &outcome.plans.keys().cloned().collect(), &matched.settings.iter().filter(|(_, s)| s.spec.autoscaling.is_some()).map(|(n, _)| n.clone()).collect()).await?;
    memory.applied.retain(|name, _| outcome.plans.contains_key(name));
    memory.published.retain(|name, _| outcome.plans.contains_key(name));
    // status
    let acks = acks.lock().unwrap().clone();
    let mut running: BTreeMap<IngressName, Vec<Proxy>> = BTreeMap::new();
    for pod in pods.iter().filter(|p| ready(p)) {
        let Some(name) = ingress_of(&pod.metadata) else { continue };
        let ack = acks.get(pod.metadata.uid.as_deref().unwrap_or_default()).cloned();
        let round = ack.as_ref().and_then(|a| a.hash()).and_then(|h| memory.rounds.get(&h)).copied();
        running.entry(name).or_default().push(Proxy { name: pod.metadata.name.clone().unwrap_or_default(), ack, round });
    }
    let mut gateways_of: BTreeMap<IngressName, BTreeSet<ObjectKey>> = BTreeMap::new();
    let mut addresses: BTreeMap<IngressName, Vec<String>> = BTreeMap::new();
    let mut wanted: BTreeMap<IngressName, usize> = BTreeMap::new();
    for (name, plan) in &outcome.plans {
        let set = gateways.iter().filter(|g| g.spec.selector.iter().all(|(k, v)| plan.labels.get(k) == Some(v))).map(postern_translate::key_of);
        gateways_of.insert(name.clone(), set.collect());
        let id = (name.namespace.clone(), name.name.clone());
        let service = objects.0[&SVC].get(&id);
        addresses.insert(name.clone(), service.and_then(|s| s["status"]["loadBalancer"]["ingress"].as_array().cloned()).unwrap_or_default().iter().filter_map(|i| i["ip"].as_str().map(str::to_owned)).collect());
        wanted.insert(name.clone(), objects.0[&DEP].get(&id).and_then(|d| d["spec"]["replicas"].as_u64()).unwrap_or(1) as usize);
    }
    let empty = Vec::new();
    let views: Vec<IngressView> = outcome.plans.iter().map(|(name, plan)| IngressView {
        name, plan, hash: hashes.get(name).copied(), published: true,
        problems: memory.applied.get(name).map_or(&[], |(_, p)| p.as_slice()),
        settings: matched.settings[name].object.as_ref(), gateways: &gateways_of[name], addresses: &addresses[name],
        wanted: wanted[name], proxies: running.get(name).unwrap_or(&empty),
    }).collect();
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    let mut patches = Vec::new();
    for kind in [GW, VS, DR, SE, EF, IG] {
        for value in objects.of(kind) {
            let text = |f: &str| value["metadata"][f].as_str().unwrap_or_default().to_owned();
            let (ns, name) = (text("namespace"), text("name"));
            let key = match kind.kind { "Gateway" => ObjectKey::new::<Gateway>(ns.clone(), name.clone()), "VirtualService" => ObjectKey::new::<VirtualService>(ns.clone(), name.clone()), "DestinationRule" => ObjectKey::new::<DestinationRule>(ns.clone(), name.clone()), "ServiceEntry" => ObjectKey::new::<ServiceEntry>(ns.clone(), name.clone()), "EnvoyFilter" => ObjectKey::new::<EnvoyFilter>(ns.clone(), name.clone()), _ => ObjectKey::new::<IngressGateway>(ns.clone(), name.clone()) };
            let generation = value["metadata"]["generation"].as_i64().unwrap_or_default();
            let uid = text("uid");
            let round = memory.round;
            let entry = memory.since.entry(key.clone()).and_modify(|e| if e.0 != uid || e.1 != generation { *e = (uid.clone(), generation, round, claims_programmed(&value["status"], generation)) }).or_insert_with(|| (uid.clone(), generation, round, claims_programmed(&value["status"], generation)));
            let subject = Subject { key: &key, generation, status: &value["status"], findings: findings.get(&key).map_or(&[], Vec::as_slice), since: entry.2, claimed: entry.3 };
            let status = status_of(&subject, &views, &now);
            let Some(patch) = status.patch else { continue };
            let body = json!({"metadata": {"resourceVersion": value["metadata"]["resourceVersion"]}, "status": patch});
            patches.push(async move {
                if let Err(error) = kind.api(client, &ns).patch_status(&name, &PatchParams::default(), &Patch::Merge(body)).await { if !matches!(&error, kube::Error::Api(s) if s.code == 409 || s.code == 404) { eprintln!("status {} {ns}/{name}: {error}", kind.plural) } }
            });
        }
    }
    use futures_util::StreamExt;
    futures_util::stream::iter(patches).for_each_concurrent(32, |p| p).await;
    Ok(())
}

async fn apply(client: &Client, name: &IngressName, children: &postern_translate::children::Children) -> anyhow::Result<Vec<ApplyProblem>> {
    let mut problems = Vec::new();
    let objects = children.objects()?.into_iter().map(|o| (o, "postern")).chain(children.replicas.clone().map(|r| (r, REPLICAS_MANAGER)));
    for (object, manager) in objects {
        let kind = *ALL.iter().find(|k| k.kind == object["kind"].as_str().unwrap_or_default()).unwrap_or(&DEP);
        let result = kind.api(client, &name.namespace).patch(&name.name, &PatchParams::apply(manager), &Patch::Apply(&object)).await;
        if let Err(error) = result {
            eprintln!("apply {} {name}: {error}", kind.plural);
            let message = error.to_string();
            let owner = message.split("conflict with \"").nth(1).or(message.split("conflicts with \"").nth(1)).and_then(|t| t.split('"').next()).map(str::to_owned);
            let path = message.split(": .").nth(1).map(|t| t.split_whitespace().next().unwrap_or_default().to_owned());
            problems.push(ApplyProblem { object: ObjectKey::new::<Service>(name.namespace.clone(), name.name.clone()), path, owner, message });
        }
    }
    Ok(problems)
}

async fn put(client: &Client, name: &IngressName, write: &Write) -> anyhow::Result<()> {
    let params = PatchParams::apply("postern").force();
    match write {
        Write::ConfigMap(object) => { Api::<ConfigMap>::namespaced(client.clone(), &name.namespace).patch(write.name(), &params, &Patch::Apply(object)).await?; }
        Write::Secret(object) => { Api::<Secret>::namespaced(client.clone(), &name.namespace).patch(write.name(), &params, &Patch::Apply(object)).await?; }
        Write::DeleteConfigMap(n) => { let _ = CM.api(client, &name.namespace).delete(n, &DeleteParams::default()).await; }
        Write::DeleteSecret(n) => { let _ = SEC.api(client, &name.namespace).delete(n, &DeleteParams::default()).await; }
    }
    Ok(())
}

async fn delete(client: &Client, objects: &Objects, wanted: &BTreeSet<IngressName>, scaled: &BTreeSet<IngressName>) -> anyhow::Result<()> {
    for kind in [DEP, SVC, PDB, HPA, SA, CM, SEC] {
        for value in objects.of(kind) {
            let Some(ingress) = value["metadata"]["labels"]["postern.dev/ingress"].as_str() else { continue };
            if value["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "postern" { continue }
            let ns = value["metadata"]["namespace"].as_str().unwrap_or_default();
            let name = IngressName { namespace: ns.into(), name: ingress.into() };
            if (wanted.contains(&name) && (kind != HPA || scaled.contains(&name))) || !value["metadata"]["deletionTimestamp"].is_null() { continue }
            let _ = kind.api(client, ns).delete(value["metadata"]["name"].as_str().unwrap_or_default(), &DeleteParams::background()).await;
        }
    }
    Ok(())
}
