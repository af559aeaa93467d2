#!/usr/bin/python3
"""One table: what etude's time is against PyTorch's, torchaudio's, librosa's, FFTW's and oneDNN's
for the same work, on this machine, in this run; the ratios that are wanted stand beside them.

    bench/compare/table.py build/etude-bench                      every row, with 1 and 2 threads
    bench/compare/table.py build/etude-bench --only tinyvgg --threads 1 --rounds 2
    bench/compare/table.py build/etude-bench --list

The peer's time is that of its better layout, once with glibc's malloc as it is and once with malloc
told to keep its memory. Rows whose peer is not installed say so. Each thread count is the same for
both sides. --python names the interpreter that has the peers (repeat it for several; the fastest
counts).

Times are the best of all calls, which other work on the machine disturbs least; --statistic median
takes medians instead (over the calls of a process, then over the rounds), and --statistic cpu medians
of the processor time of all threads: with one thread on a busy machine, the steadiest.
"""

import argparse
import functools
import json
import pathlib
import subprocess
import sys

from rounds import MALLOCS, Contestant, bench_rows, compete
from train_step import PEERS, contestants


@functools.cache
def version(python, library):
    """Of a library in an interpreter; None where it is not there."""
    command = [python, PEERS, "version", "--library", library]
    process = subprocess.run(command, capture_output=True, text=True)
    return json.loads(process.stdout) if process.returncode == 0 else None


def line(work, threads, ours, peer, default, tuned, wanted, memory=""):
    number = lambda x: "-" if x is None else f"{x:.2f}"
    print(
        f"| {work} | {threads} | {ours} | {peer} | {number(default)} | {number(tuned)} | {wanted} |"
        f" {memory} |",
        flush=True,
    )


def milliseconds(row, args):
    """Of a row of etude-bench."""
    return row[{"best": "min_us", "median": "median_us", "cpu": "cpu_us"}[args.statistic]] / 1e3


def speed_of_light(row, args):
    """Percent; of processor time where that is the statistic (then with one thread only)."""
    return 100 * row["speed_of_light"] * row["median_us"] / 1e3 / milliseconds(row, args)


# ---- models --------------------------------------------------------------------------------------

# name: settings, inference, ratios wanted (default / tuned malloc)
MODELS = {
    "tinyvgg h=10, 32x128x256x1, step": ("tinyvgg", 10, "128x256x1", 32, False, "4.5 / 3"),
    "tinyvgg h=64, 16x128x256x1, step": ("tinyvgg", 64, "128x256x1", 16, False, "3 / 2"),
    "tinyvgg h=10, 64x28x28x1, step": ("tinyvgg", 10, "28x28x1", 64, False, "2.5 / 2"),
    "vgg4, 32x64x64x1, step": ("vgg4", 10, "64x64x1", 32, False, "1.6 / 1.5"),
    "resnet18, 16x128x256x1, step": ("resnet18", 10, "128x256x1", 16, False, "1.7 / 1.6"),
    "resnet18, 16x128x256x1, inference": ("resnet18", 10, "128x256x1", 16, True, "2 / 2"),
}


def model_row(work, args, threads):
    model, hidden, size, batch, inference, wanted = MODELS[work]
    settings = {"model": model, "hidden": hidden, "input": size, "batch": batch}
    small = size == "28x28x1"  # a step is a few milliseconds: more of them
    steps, warm_up = (30, 5) if small else (args.steps, 1)
    everyone = []
    for python in args.python:
        if version(python, "torch"):
            some = contestants(
                args.bench, settings, threads, steps, warm_up, python, inference=inference
            )
            for c in some:
                if c.label != "etude":
                    c.label += " in " + python
                elif everyone:
                    continue
                everyone.append(c)
    if not everyone:
        line(work, threads, "", "PyTorch is not installed", None, None, wanted)
        return
    rows = compete(everyone, threads, args.rounds)
    ours = rows["etude"]
    ratio, memory, texts = {}, "", []
    for malloc in MALLOCS:
        peers = {label: row for label, row in rows.items() if malloc in label}
        label, best = min(peers.items(), key=lambda item: item[1][args.statistic + "_ms"])
        ratio[malloc] = best[args.statistic + "_ms"] / ours[args.statistic + "_ms"]
        texts.append(f"{best[args.statistic + '_ms']:.1f} ({label.split()[1].strip(',')})")
        if malloc == "default malloc":
            memory = f"{ours['peak_rise_mb']:.0f} / {best['peak_rise_mb']:.0f} MB"
    line(
        work,
        threads,
        f"{ours[args.statistic + '_ms']:.1f} ms",
        "PyTorch " + " / ".join(texts) + " ms",
        *ratio.values(),
        wanted,
        memory,
    )


# ---- audio ---------------------------------------------------------------------------------------


MEL = ["--problem", "mel_front_end", "seconds=45", "--seconds", "0.2"]


def mel_row(args, threads):
    work = "mel + dB of 45 s (2048, 512, 128)"
    everyone = [Contestant("etude", [args.bench, *MEL], is_bench=True)]
    names = {}
    for python in args.python:
        for library in ("torchaudio", "librosa"):
            found = version(python, library)
            if not found:
                continue
            names[library] = found
            for malloc, environment in MALLOCS.items():
                common = ["--threads", str(threads), "--steps", "20", "--warm-up", "3"]
                command = [python, PEERS, "mel", "--library", library, *common]
                everyone.append(Contestant(f"{library}, {malloc}, {python}", command, environment))
    rows = compete(everyone, threads, args.rounds)
    mine = rows["etude"][args.statistic + "_ms"]
    for library, wanted in (("torchaudio", "12 / 6"), ("librosa", "")):
        best = [
            min(
                (
                    r[args.statistic + "_ms"]
                    for who, r in rows.items()
                    if who.startswith(f"{library}, {m}")
                ),
                default=None,
            )
            for m in MALLOCS
        ]
        if None in best:
            line(work, threads, f"{mine:.2f} ms", f"{library}: not here", None, None, wanted)
            continue
        texts = " / ".join(f"{ms:.2f}" for ms in best)
        peer = f"{library} {names[library]}: {texts} ms"
        line(work, threads, f"{mine:.2f} ms", peer, best[0] / mine, best[1] / mine, wanted)


def features_row(args, threads):
    rows = bench_rows([args.bench, "--problem", "features", "songs=2", "seconds=45"], threads)
    rate = rows[0]["items_per_second"]
    line(
        "features from mp3",
        threads,
        f"{rate:.0f} x real time",
        "",
        None,
        None,
        f"{400 * threads} x real time",
    )


# ---- kernels -------------------------------------------------------------------------------------


def fft_row(args, threads):
    rows = bench_rows(
        [args.bench, "--problem", "rfft", "N=484", "--providers", "etude:cpu,fftw", "--cache", "warm"],
        threads,
    )
    times = {r["provider"]: milliseconds(r, args) for r in rows}
    ratio = times["fftw"] / times["etude:cpu"]
    line(
        "rfft of 2048, 484 of them",
        threads,
        f"{times['etude:cpu']:.2f} ms",
        f"FFTW PATIENT {times['fftw']:.2f} ms",
        ratio,
        None,
        "1.8",
    )


LAYERS = [
    ("64", 32, 64, 1),
    ("128", 16, 32, 1),
    ("256", 8, 16, 1),
    ("512", 4, 8, 1),
    ("64", 32, 64, 2),
]


def layer_rows(args, threads):
    """Share of the FMA peak of the direct kernels, and what is chosen against oneDNN's direct."""
    for channels, height, width, stride in LAYERS:
        shape = f"N=16 H={height} W={width} C={channels} stride={stride}".split()
        command = [args.bench, "--problem", "conv2d", *shape, "--cache", "warm", "--providers"]
        chosen = bench_rows([*command, "etude:cpu,onednn"], threads)
        direct = bench_rows([*command, "etude:cpu"], threads, {"ETUDE_CONV_CPU": args.direct})
        name = f"3x3, {channels} channels, 16x{height}x{width}" + (
            ", stride 2" if stride == 2 else ""
        )
        share = {r["kernel"]: speed_of_light(r, args) for r in direct}
        text = " / ".join(f"{share[k]:.0f}" for k in share)
        wanted = "75 %" if stride == 2 else "85 / 80 %" if channels != "512" else "85 / 65 %"
        line(
            name,
            threads,
            f"{text} % of the FMA peak",
            "(direct: forward / data / filter)",
            None,
            None,
            wanted,
        )
        for kernel in share:
            times = {r["provider"]: milliseconds(r, args) for r in chosen if r["kernel"] == kernel}
            line(
                f"{name}, {kernel.removeprefix('conv2d_')}",
                threads,
                f"{times['etude:cpu']:.2f} ms",
                f"oneDNN {times['onednn']:.2f} ms",
                times["onednn"] / times["etude:cpu"],
                None,
                "1.35 (F(2,3)), 1.5 (F(4,3))" if stride == 1 else "",
            )


def threads_rows(args, _):
    """Two threads against one: a layer bound by arithmetic, and work bound by memory."""
    for work, problem, wanted in (
        ("3x3, 64 channels, forward", "conv2d_forward N=16 H=32 W=64 C=64", "1.8"),
        ("3x3, 64 channels, filter gradient", "conv2d_backward_filter N=16 H=32 W=64 C=64", "1.8"),
        ("batch norm, forward", "batch_norm_forward N=16 H=64 W=128 C=64", "90 % of the bandwidth"),
        ("add", "add size=20000000", "90 % of the bandwidth"),
    ):
        command = [args.bench, "--problem", *problem.split(), "--cache", "cold"]
        rows = bench_rows([*command, "--providers", "etude:cpu"], "1,2")
        one, two = rows[0], rows[1]
        line(
            work,
            "2 / 1",
            f"{milliseconds(two, args):.2f} ms",
            f"itself on one thread {milliseconds(one, args):.2f} ms;"
            f" {speed_of_light(two, args):.0f} % of the {two['bound']} peak of two",
            milliseconds(one, args) / milliseconds(two, args),
            None,
            wanted,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", help="the etude-bench program")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    parser.add_argument("--threads", default="1,2", help="e.g. 1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="measured steps of a model a process")
    parser.add_argument("--python", action="append", help="default: /usr/bin/python3")
    parser.add_argument("--statistic", choices=("best", "median", "cpu"), default="best")
    parser.add_argument("--direct", default="gather", help="ETUDE_CONV_CPU for direct kernels")
    args = parser.parse_args()
    args.python = args.python or ["/usr/bin/python3"]
    args.bench = str(pathlib.Path(args.bench).resolve())
    rows = {name: lambda t, name=name: model_row(name, args, t) for name in MODELS}
    rows["mel"] = lambda t: mel_row(args, t)
    rows["rfft"] = lambda t: fft_row(args, t)
    rows["features"] = lambda t: features_row(args, t)
    rows["layers"] = lambda t: layer_rows(args, t)
    rows["threads"] = lambda t: threads_rows(args, t)
    chosen = {name: row for name, row in rows.items() if args.only in name}
    if args.list or not chosen:
        print("\n".join(rows))
        sys.exit(0 if args.list else 2)
    found = [
        f"{library} {version(python, library)} ({python})"
        for python in args.python
        for library in ("torch", "torchaudio", "librosa")
        if version(python, library)
    ]
    print("peers:", ", ".join(found) or "none", flush=True)
    print(
        "| work | threads | etude | peer: default / tuned malloc | ratio, default | tuned | wanted |"
        " peak memory, etude / peer |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, row in chosen.items():
        for threads in args.threads.split(",") if name != "threads" else "2":
            row(int(threads))


if __name__ == "__main__":
    main()
