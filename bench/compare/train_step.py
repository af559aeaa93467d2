#!/usr/bin/python3
"""The same training step in PyTorch and in etude, measured alternately.

A step is forward, cross-entropy, backward and SGD with momentum on one fixed random batch. Every
measurement is a fresh process; a round runs each contestant once, so that a busy spell of the
machine meets all of them. PyTorch runs in both memory layouts, each with glibc's default malloc and
with a malloc told to keep its memory (fresh pages cost PyTorch up to half of its time on large
activations). "cpu ms" is the processor time of all threads: on a machine with other work it is
steadier than the wall clock, and with OMP_WAIT_POLICY=passive free of the threads' busy waiting.
Peak memory is the rise of the resident size over the state after building the model.

    bench/compare/train_step.py build/etude-bench --model resnet18 --input 128x256x1 --batch 16

Needs PyTorch: Debian's python3-torch, hence /usr/bin/python3.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "42949672960",
    "MALLOC_TOP_PAD_": "1073741824",
}


def build_model(name, height, width, channels, outputs):
    """torchvision's ResNet-18 with another stem and head; TinyVGG with two padded blocks."""
    from torch import nn

    class BasicBlock(nn.Module):
        def __init__(self, c, k, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(k)
            self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(k)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or c != k:
                self.downsample = nn.Sequential(
                    nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k)
                )

        def forward(self, x):
            identity = x if self.downsample is None else self.downsample(x)
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += identity
            return self.relu(y)

    if name == "resnet18":
        layers = [
            nn.Conv2d(channels, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        c = 64
        for k, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
            layers += [BasicBlock(c, k, stride), BasicBlock(k, k, 1)]
            c = k
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, outputs)]
        return nn.Sequential(*layers)
    if name == "tinyvgg":
        layers = []
        c = channels
        for _ in range(2):
            layers += [nn.Conv2d(c, 10, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(10, 10, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)]
            c = 10
        layers += [nn.Flatten(), nn.Linear(10 * (height // 4) * (width // 4), outputs)]
        return nn.Sequential(*layers)
    sys.exit(f"train_step.py: no PyTorch model '{name}' here; there are resnet18 and tinyvgg")


def process_status(key):
    """A line of /proc/self/status (VmRSS, VmHWM), in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
    return 0


def measure_torch(args):
    """The worker: one process, one JSON object, like etude-bench --train-step."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    height, width, channels = (int(n) for n in args.input.split("x"))
    layout = torch.channels_last if args.layout == "NHWC" else torch.contiguous_format
    model = build_model(args.model, height, width, channels, args.outputs).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(args.batch, channels, height, width).to(memory_format=layout)
    labels = torch.arange(args.batch) % args.outputs

    before = process_status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    times, cpu_times = [], []
    for i in range(args.warm_up + args.steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        if i >= args.warm_up:
            times.append(1e3 * (time.perf_counter() - start))
            cpu_times.append(1e3 * (time.process_time() - cpu_start))
    print(
        json.dumps(
            {
                "median_ms": statistics.median(times),
                "min_ms": min(times),
                "cpu_ms": statistics.median(cpu_times),
                "loss": loss.item(),
                "peak_rise_mb": (process_status("VmHWM") - before) / 1e6,
            }
        )
    )


def contestants(args):
    """(label, command, environment) of each process of a round."""
    common = ["--input", args.input, "--batch", str(args.batch), "--outputs", str(args.outputs)]
    common += ["--steps", str(args.steps), "--warm-up", str(args.warm_up)]
    common += ["--threads", str(args.threads)]
    yield "etude", [args.bench, "--train-step", args.model, *common], {}
    for layout in ("NHWC", "NCHW"):
        for label, environment in (("default malloc", {}), ("tuned malloc", KEEP_MEMORY)):
            worker = [sys.executable, __file__, args.bench, "--model", args.model, *common]
            yield f"PyTorch {layout}, {label}", [*worker, "--layout", layout], environment


def compare(args):
    results = {}
    for _ in range(args.rounds):
        for label, command, environment in contestants(args):
            run = subprocess.run(
                command,
                env={**os.environ, "OMP_NUM_THREADS": str(args.threads), **environment},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            results.setdefault(label, []).append(json.loads(run.stdout))
    rows = {
        label: {
            "median_ms": statistics.median(run["median_ms"] for run in runs),
            "best_ms": min(run["min_ms"] for run in runs),
            "cpu_ms": statistics.median(run["cpu_ms"] for run in runs),
            "peak_rise_mb": statistics.median(run["peak_rise_mb"] for run in runs),
        }
        for label, runs in results.items()
    }
    if args.json:
        print(json.dumps(rows))
        return
    ours = rows["etude"]
    print(f"{args.model}, {args.batch} x {args.input}, {args.threads} threads, {args.rounds} rounds")
    print(f"{'':30} {'median ms':>10} {'best ms':>9} {'cpu ms':>9} {'peak MB':>9} {'time/etude':>11}")
    for label, row in rows.items():
        print(
            f"{label:30} {row['median_ms']:10.1f} {row['best_ms']:9.1f} {row['cpu_ms']:9.1f}"
            f" {row['peak_rise_mb']:9.0f} {row['median_ms'] / ours['median_ms']:11.2f}"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bench", help="the etude-bench program")
    parser.add_argument("--model", default="resnet18", help="resnet18 or tinyvgg")
    parser.add_argument("--input", default="128x256x1", help="HxWxC")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5, help="measured steps a process")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object")
    parser.add_argument("--layout", choices=("NHWC", "NCHW"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.layout:
        measure_torch(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
