"""docs/benchmarks.md."""

import argparse
import dataclasses
import datetime
import pathlib
import platform
import re


@dataclasses.dataclass
class Results:
    versions: dict[str, str]
    cpu: dict[str, dict[str, float]]
    latency: dict[str, dict[float, float]]
    memory: dict[str, dict[str, float]]
    reloads: dict | None
    args: argparse.Namespace
    # The load average of the last minute before the run: what else the machine was doing.
    load_before: float


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def processor() -> str:
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.processor()


def with_ratios(values: dict[str, float], unit: str = "") -> list[str]:
    own = values["postern"]
    return [f"{own:.2f}{unit}" if name == "postern" else f"{value:.2f}{unit} ({own / value:.2f})"
            for name, value in values.items()]


def write(path: pathlib.Path, results: Results):
    names = list(results.versions)
    args = results.args
    cpu = [[title, *with_ratios(row)] for title, row in results.cpu.items()]
    memory = [[title, *(f"{row[name]:.1f}" for name in names)] for title, row in results.memory.items()]
    latency = [[f"p{percentile:g}", *(f"{results.latency[name][percentile]:.2f}" for name in names)]
               for percentile in (50, 99, 99.9)]
    reloads = results.reloads
    path.write_text(f"""# Benchmarks

Written by `make bench` on {datetime.date.today()}; do not edit. Linux {platform.release()}, {processor()}, 2 cores.
Versions: {", ".join(f"{name} {version}" for name, version in results.versions.items())}.

Each proxy has one worker on a core of its own; the load generator (wrk, h2load) and the backend (nginx, 1 KiB answers from
memory) share the other core. All do the same: keep-alive to the backend, `x-forwarded-for`, no access log; Envoy and
Postern also normalise paths, make an `x-request-id` and retry. Median of {args.rounds} interleaved rounds of {args.seconds} s. The setups are in
[e2e/bench](../e2e/bench). Load of the machine before the run: {results.load_before:.1f}; on a busy machine all figures are higher, for all.

## CPU seconds per 100,000 requests
In brackets: Postern's share of it. HTTP/1.1 with 64 connections; HTTP/2 over TLS with 8 connections of 8 streams. The last prefix
or host of a table is asked for.

{table(["", *names], cpu)}

## Latency in milliseconds, HTTP/1.1 at {args.rate:,} requests/s
{table(["", *names], latency)}

## Memory in MiB
Resident, after two seconds of load with 64 connections unless it says idle. Routes are hosts with one prefix each.

{table(["", *names], memory)}

## A route changed under load
Postern, 64 connections as fast as they go, and one more that is held open through all changes: {reloads["changes"]} changes,
{reloads["requests"]:,} requests, {reloads["failed"]} failed or closed.
""")
    print(f"wrote {path}")
