"""A route that changes under load: does anything fail, is any connection closed?"""

import contextlib
import json
import pathlib
import socket
import subprocess
import time

import contestants
import load


def open_connection(port: int, host: str, path: str):
    connection = socket.create_connection(("127.0.0.1", port))
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def ask() -> bytes:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(65536)
            if not piece:
                raise SystemExit("a connection was closed by a reload")
            answer += piece
        return answer.split(b"\r\n", 1)[0]

    return connection, ask


def changes_under_load(postern: contestants.Postern, pid: int, directory: pathlib.Path, table, seconds: int) -> dict:
    """Adds a route again and again while requests come, and holds one connection open through all of it."""
    host, path = table.target
    connection, ask = open_connection(contestants.HTTP_PORT, host, path)
    objects = directory / "objects" / "objects.yaml"
    documents = [json.loads(document) for document in objects.read_text().split("\n---\n")]
    wrk = subprocess.Popen(
        ["taskset", "-c", load.LOAD_CORE, "wrk", "-t", "1", "-c", "64", "-d", f"{seconds}s", "-H", f"Host: {host}",
         f"http://127.0.0.1:{contestants.HTTP_PORT}{path}"], stdout=subprocess.PIPE, text=True)
    changes, failed = 0, 0
    with contextlib.closing(connection):
        while wrk.poll() is None:
            added = contestants.istio("VirtualService", "default", "added", {
                "hosts": [f"added-{changes}.example.com"], "gateways": ["istio-system/bench"],
                "http": [{"directResponse": {"status": 200}}],
            })
            objects.write_text("\n---\n".join(json.dumps(document) for document in [*documents, added]))
            contestants.output(str(postern.postern), "translate", "--filename", str(directory / "objects"),
                               "--output", str(directory / "snapshots"))
            changes += 1
            failed += ask() != b"HTTP/1.1 200 OK"
            time.sleep(0.2)
    text = wrk.stdout.read()
    failed += sum(word in text for word in ("Non-2xx", "Socket errors"))
    served = int(text.split(" requests in")[0].split()[-1])
    return {"changes": changes, "requests": served, "failed": failed}
