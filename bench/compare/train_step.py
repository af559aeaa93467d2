#!/usr/bin/python3
"""The same training step (or inference) in PyTorch and in etude, measured alternately.

A step is forward, cross-entropy, backward and SGD with momentum on one fixed random batch. PyTorch
runs in both memory layouts, each with glibc's default malloc and with a malloc told to keep its
memory. "cpu ms" is the processor time of all threads: on a machine with other work it is steadier
than the wall clock, and with OMP_WAIT_POLICY=passive free of the threads' busy waiting. Peak memory
is the rise of the resident size over the state after building the model.

    bench/compare/train_step.py build/etude-bench --model resnet18 --input 128x256x1 --batch 16

Needs PyTorch: Debian's python3-torch, hence /usr/bin/python3.
"""

import argparse
import json
import os
import pathlib
import sys

from rounds import MALLOCS, Contestant, compete

PEERS = str(pathlib.Path(__file__).with_name("peers.py"))


def contestants(bench, settings, threads, steps, warm_up, python=sys.executable, inference=False):
    """etude, then PyTorch in each layout with each malloc. `settings`: model, input, batch, ..."""
    common = [w for key, value in settings.items() for w in (f"--{key}", str(value))]
    common += ["--steps", str(steps), "--warm-up", str(warm_up), "--threads", str(threads)]
    common += ["--inference"] if inference else []
    model = common.index("--model")
    ours = [bench, "--train-step", common[model + 1], *common[:model], *common[model + 2 :]]
    yield Contestant("etude", ours)
    for layout in ("NHWC", "NCHW"):
        for malloc, environment in MALLOCS.items():
            worker = [python, PEERS, "model", *common, "--layout", layout]
            yield Contestant(f"PyTorch {layout}, {malloc}", worker, environment)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", help="the etude-bench program")
    parser.add_argument("--model", default="resnet18", help="resnet18, tinyvgg or vgg4")
    parser.add_argument("--input", default="128x256x1", help="HxWxC")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=10, help="channels of a TinyVGG")
    parser.add_argument("--inference", action="store_true", help="forward passes instead")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5, help="measured steps a process")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
    args = parser.parse_args()
    settings = {key: getattr(args, key) for key in ("model", "input", "batch", "outputs", "hidden")}
    everyone = contestants(
        args.bench, settings, args.threads, args.steps, args.warm_up, inference=args.inference
    )
    rows = compete(list(everyone), args.threads, args.rounds)
    if args.json:
        print(json.dumps(rows))
        return
    ours = rows["etude"]
    print(
        f"{args.model}, {args.batch} x {args.input}, {args.threads} threads, {args.rounds} rounds"
    )
    print(
        f"{'':30} {'median ms':>10} {'best ms':>9} {'cpu ms':>9} {'peak MB':>9} {'time/etude':>11}"
    )
    for label, row in rows.items():
        print(
            f"{label:30} {row['median_ms']:10.1f} {row['best_ms']:9.1f} {row['cpu_ms']:9.1f}"
            f" {row['peak_rise_mb']:9.0f} {row['median_ms'] / ours['median_ms']:11.2f}"
        )


if __name__ == "__main__":
    main()
