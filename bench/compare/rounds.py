"""Contestants in turn: every measurement is a fresh process, and a round runs each once, so that a
busy spell of the machine meets all of them."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

# glibc's malloc told to keep its memory: fresh pages cost PyTorch up to half of its time on large
# activations.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "42949672960",
    "MALLOC_TOP_PAD_": "1073741824",
}
MALLOCS = {"default malloc": {}, "tuned malloc": KEEP_MEMORY}


@dataclass
class Contestant:
    label: str
    # Prints one JSON object with median_ms, min_ms, and where it applies peak_rise_mb; or is
    # etude-bench with one row.
    command: list
    environment: dict = field(default_factory=dict)
    is_bench: bool = False


def environment_for(threads, more):
    return {
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        **more,
    }


def bench_rows(command, threads, environment={}):
    """The rows of a run of etude-bench, as dictionaries."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(
            [*command, "--threads", str(threads), "--json", file.name],
            env=environment_for(threads, environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return json.load(file)["rows"]


def run(contestant, threads):
    if contestant.is_bench:
        row = bench_rows(contestant.command, threads, contestant.environment)[0]
        names = {"median_ms": "median_us", "min_ms": "min_us", "cpu_ms": "cpu_us"}
        return {name: row[column] / 1e3 for name, column in names.items()}
    process = subprocess.run(
        contestant.command,
        env=environment_for(threads, contestant.environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout)


def compete(contestants, threads, rounds):
    """{label: medians over the rounds of what each process printed; best_ms is the least}"""
    results = {c.label: [] for c in contestants}
    for _ in range(rounds):
        for c in contestants:
            try:
                results[c.label].append(run(c, threads))
            except subprocess.CalledProcessError as error:
                print(f"{c.label}: {error}", file=sys.stderr)
    rows = {}
    for label, runs in results.items():
        if not runs:
            continue
        keys = [k for k in ("median_ms", "cpu_ms", "peak_rise_mb") if k in runs[0]]
        rows[label] = {k: statistics.median(r[k] for r in runs) for k in keys}
        rows[label]["best_ms"] = min(r["min_ms"] for r in runs)
    return rows
