"""Load, and what it costs the proxy. Everything stays on loopback and is bounded in time."""

import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import time

PROXY_CORE = "0"
LOAD_CORE = "1"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Result:
    requests: int
    errors: int
    cpu_seconds: float
    seconds: float

    @property
    def cpu_per_100k(self) -> float:
        return self.cpu_seconds / self.requests * 100_000

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@contextlib.contextmanager
def running(command: list[str], core: str, port: int, log: pathlib.Path):
    """A process on one core, from when its port answers to the end of the block."""
    with log.open("ab") as out:
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=out, stderr=out)
    try:
        wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen, log: pathlib.Path):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args} does not listen on {port}:\n{log.read_text()[-2000:]}")


def family(pid: int) -> list[int]:
    """A process and its children: nginx works in one."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def cpu_seconds(pid: int) -> float:
    total = 0
    for process in family(pid):
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(pid: int) -> float:
    pages = sum(int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]) for process in family(pid))
    return pages * PAGE / 2**20


def http1(pid: int, port: int, host: str, path: str, seconds: int, connections: int = 64) -> Result:
    """HTTP/1.1 with keep-alive, as fast as it goes."""
    before, start = cpu_seconds(pid), time.monotonic()
    text = run("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-H", f"Host: {host}",
               f"http://127.0.0.1:{port}{path}")
    cpu, took = cpu_seconds(pid) - before, time.monotonic() - start
    requests = int(re.search(r"(\d+) requests in", text)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = (int(bad[1]) if bad else 0) + (sum(map(int, sockets.groups())) if sockets else 0)
    return Result(requests, errors, cpu, took)


def http2(pid: int, port: int, host: str, path: str, seconds: int, connections: int = 8, streams: int = 8) -> Result:
    """HTTP/2 over TLS, as fast as it goes."""
    before, start = cpu_seconds(pid), time.monotonic()
    text = run("h2load", "-t", "1", "-c", str(connections), "-m", str(streams), "-D", str(seconds),
               f"--connect-to=127.0.0.1:{port}", f"https://{host}:{port}{path}")
    cpu, took = cpu_seconds(pid) - before, time.monotonic() - start
    counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", text)
    codes = re.search(r"status codes: (\d+) 2xx", text)
    done, _, failed = map(int, counts.groups())
    # What was under way at the end counts in only one of them.
    return Result(done, failed + max(0, done - int(codes[1])), cpu, took)


def latency(port: int, host: str, path: str, rate: int, seconds: int, log: pathlib.Path, connections: int = 32) -> dict[float, float]:
    """Percentiles in milliseconds at a fixed rate of HTTP/1.1 requests."""
    log.unlink(missing_ok=True)
    run("h2load", "--h1", "-t", "1", "-c", str(connections), "--rps", str(rate / connections), "-D", str(seconds),
        f"--log-file={log}", f"--connect-to=127.0.0.1:{port}", f"http://{host}:{port}{path}")
    # Each line: start time, status code, response time, all times in microseconds.
    times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines() if line.split("\t")[1] == "200")
    if len(times) < rate * seconds * 0.9:
        raise SystemExit(f"only {len(times)} of {rate * seconds} requests were answered")
    return {p: times[min(len(times) - 1, int(len(times) * p / 100))] / 1000 for p in (50, 99, 99.9)}


def run(*command: str) -> str:
    done = subprocess.run(["taskset", "-c", LOAD_CORE, *command], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
