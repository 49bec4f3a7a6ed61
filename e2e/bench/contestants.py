"""The proxies, each with one worker, set up to do the same: HTTP/1.1 on one port, TLS with HTTP/2 on another, a table of
hosts and prefixes, keep-alive to the backend, x-forwarded-for, no access log."""

import json
import pathlib
import re
import subprocess

from scenario import Table

HTTP_PORT = 18080
HTTPS_PORT = 18443
BACKEND_PORT = 18090


class Contestant:
    """A proxy. `command` writes its configuration into a directory and says how to start it."""

    name: str

    def version(self) -> str:
        raise NotImplementedError

    def command(self, directory: pathlib.Path, table: Table) -> list[str]:
        raise NotImplementedError


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


class Postern(Contestant):
    name = "postern"

    def __init__(self, binaries: pathlib.Path, certificate: str, key: str):
        self.postern = binaries / "postern"
        self.proxy = binaries / "postern-proxy"
        self.certificate, self.key = certificate, key

    def version(self) -> str:
        return output(str(self.proxy), "--version").split()[-1]

    def command(self, directory, table):
        objects = directory / "objects"
        objects.mkdir(exist_ok=True)
        self.write_objects(objects, table)
        snapshots = directory / "snapshots"
        output(str(self.postern), "translate", "--filename", str(objects), "--output", str(snapshots))
        return [
            str(self.proxy), "--snapshot", str(snapshots / "istio-system" / "istio-ingressgateway"), "--address", "127.0.0.1",
            "--workers", "1", "--log", "warn", "--drain-delay", "0", "--status-port", "18021", "--metrics-port", "18020", "--admin-port", "18000",
        ]

    def write_objects(self, directory: pathlib.Path, table: Table):
        def server(number, name, protocol, **more):
            return {"port": {"number": number, "name": name, "protocol": protocol}, "hosts": ["*"], **more}

        tls = {"mode": "SIMPLE", "credentialName": "tls-secret"}
        gateway = istio("Gateway", "istio-system", "bench", {
            "selector": {"istio": "ingressgateway"},
            "servers": [server(HTTP_PORT, "http", "HTTP"), server(HTTPS_PORT, "https", "HTTPS", tls=tls)],
        })
        destination = {"destination": {"host": "backend", "port": {"number": 80}}}
        rules = [{"match": [{"uri": {"prefix": prefix}}], "route": [destination]} for prefix in table.prefixes]
        services = [
            istio("VirtualService", "default", f"route-{i}", {
                "hosts": [host], "gateways": ["istio-system/bench"], "http": rules,
            })
            for i, host in enumerate(table.hosts)
        ]
        service = core("v1", "Service", "backend", spec={"ports": [{"name": "http", "port": 80}]})
        endpoints = core(
            "discovery.k8s.io/v1", "EndpointSlice", "backend", labels={"kubernetes.io/service-name": "backend"},
            addressType="IPv4", ports=[{"name": "http", "port": BACKEND_PORT, "protocol": "TCP"}],
            endpoints=[{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        )
        secret = core("v1", "Secret", "tls-secret", namespace="istio-system", type="kubernetes.io/tls",
                      stringData={"tls.crt": self.certificate, "tls.key": self.key})
        documents = [gateway, *services, service, endpoints, secret]
        # JSON is YAML.
        (directory / "objects.yaml").write_text("\n---\n".join(json.dumps(document) for document in documents))


def istio(kind, namespace, name, spec):
    metadata = {"name": name, "namespace": namespace, "generation": 1}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def core(version, kind, name, namespace="default", labels=None, **fields):
    metadata = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


class Envoy(Contestant):
    name = "envoy"

    def __init__(self, binary: pathlib.Path, certificate_file: pathlib.Path, key_file: pathlib.Path):
        self.binary = binary
        self.certificate, self.key = str(certificate_file), str(key_file)

    def version(self) -> str:
        return re.search(r"/(\d+\.\d+\.\d+)", output(str(self.binary), "--version"))[1]

    def command(self, directory, table):
        config = directory / "envoy.json"
        config.write_text(json.dumps(self.bootstrap(table)))
        return [str(self.binary), "--config-path", str(config), "--concurrency", "1", "--log-level", "error",
                "--disable-hot-restart"]

    def bootstrap(self, table: Table):
        def address(port):
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

        routes = [{"match": {"prefix": prefix}, "route": {"cluster": "backend", "timeout": "0s"}} for prefix in table.prefixes]
        virtual_hosts = [
            {"name": host, "domains": [host], "routes": routes} for host in table.hosts
        ]
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench", "use_remote_address": True, "normalize_path": True,
            "strip_any_host_port": True,
            "route_config": {"name": "bench", "virtual_hosts": virtual_hosts},
            "http_filters": [{"name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        }
        chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
        tls = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": {"filename": self.certificate},
                                      "private_key": {"filename": self.key}}],
            },
        }}
        limits = {"max_connections": 1_000_000, "max_pending_requests": 1_000_000, "max_requests": 1_000_000}
        cluster = {
            "name": "backend", "type": "STATIC", "connect_timeout": "10s", "lb_policy": "LEAST_REQUEST",
            "circuit_breakers": {"thresholds": [limits]},
            "load_assignment": {"cluster_name": "backend", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(BACKEND_PORT)}}]}]},
        }
        return {"static_resources": {
            "listeners": [
                {"name": "http", "address": address(HTTP_PORT), "filter_chains": [chain]},
                {"name": "https", "address": address(HTTPS_PORT), "filter_chains": [{**chain, "transport_socket": tls}]},
            ],
            "clusters": [cluster],
        }}


class HAProxy(Contestant):
    name = "haproxy"

    def __init__(self, pem_file: pathlib.Path):
        self.pem = pem_file

    def version(self) -> str:
        return re.search(r"version (\d+\.\d+\.\d+)", output("haproxy", "-v"))[1]

    def command(self, directory, table):
        (directory / "prefixes.map").write_text("".join(f"{host}{prefix} backend\n" for host in table.hosts for prefix in table.prefixes))
        config = directory / "haproxy.cfg"
        config.write_text(f"""
global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    option forwardfor
    http-reuse always
frontend bench
    bind 127.0.0.1:{HTTP_PORT}
    bind 127.0.0.1:{HTTPS_PORT} ssl crt {self.pem} alpn h2,http/1.1
    http-request set-var(txn.path) path
    http-request set-var(txn.base) req.hdr(host),host_only,lower,concat(,txn.path)
    use_backend %[var(txn.base),map_beg({directory}/prefixes.map)]
backend backend
    server backend 127.0.0.1:{BACKEND_PORT} pool-max-conn 1000
""")
        return ["haproxy", "-db", "-f", str(config)]


class Nginx(Contestant):
    name = "nginx"

    def __init__(self, certificate_file: pathlib.Path, key_file: pathlib.Path):
        self.certificate, self.key = certificate_file, key_file

    def version(self) -> str:
        return re.search(r"nginx/(\d+\.\d+\.\d+)", output("nginx", "-v"))[1]

    def command(self, directory, table):
        locations = "".join(f"        location {prefix} {{ proxy_pass http://backend; }}\n" for prefix in table.prefixes)
        servers = "".join(f"""
    server {{
        listen 127.0.0.1:{HTTP_PORT};
        listen 127.0.0.1:{HTTPS_PORT} ssl http2;
        server_name {host};
{locations}    }}
""" for host in table.hosts)
        config = directory / "nginx.conf"
        config.write_text(f"""
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 128;
    ssl_certificate {self.certificate};
    ssl_certificate_key {self.key};
    proxy_http_version 1.1;
    proxy_set_header connection "";
    proxy_set_header host $host;
    proxy_set_header x-forwarded-for $proxy_add_x_forwarded_for;
    upstream backend {{ server 127.0.0.1:{BACKEND_PORT}; keepalive 1000; keepalive_requests 1000000000; }}
{servers}}}
""")
        return ["nginx", "-p", str(directory), "-c", str(config)]


def backend_command(directory: pathlib.Path) -> list[str]:
    """The backend: nginx again, which answers 1 KiB from memory."""
    config = directory / "backend.conf"
    config.write_text(f"""
daemon off;
pid {directory}/backend.pid;
error_log {directory}/backend-error.log crit;
worker_processes 1;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{BACKEND_PORT};
        location / {{ default_type text/plain; return 200 "{'x' * 1024}"; }}
    }}
}}
""")
    return ["nginx", "-p", str(directory), "-c", str(config)]
