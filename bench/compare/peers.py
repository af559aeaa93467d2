#!/usr/bin/python3
"""The other side's work, one process a measurement: prints one JSON object.

    peers.py model --model resnet18 --layout NHWC     a training step (--inference: a forward pass)
    peers.py mel --library torchaudio                 mel spectrogram + dB of one clip
    peers.py version --library torch                  its version; fails where it is not installed

Every import stands where it is used: what is not installed is missed only by what needs it.
"""

import argparse
import json
import os
import statistics
import sys
import time


def build_model(name, height, width, channels, outputs, hidden):
    """torchvision's ResNet-18 with another stem and head; TinyVGG with two padded blocks; the
    four-block VGG for small spectrograms."""
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
            layers += [nn.Conv2d(c, hidden, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)]
            c = hidden
        layers += [nn.Flatten(), nn.Linear(hidden * (height // 4) * (width // 4), outputs)]
        return nn.Sequential(*layers)
    if name == "vgg4":
        layers = []
        c = channels
        for k in (16, 32, 64, 128):
            layers += [nn.Conv2d(c, k, 3, padding=1, bias=False), nn.BatchNorm2d(k)]
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            c = k
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, outputs)]
        return nn.Sequential(*layers)
    sys.exit(f"peers.py: no PyTorch model '{name}' here; there are resnet18, tinyvgg and vgg4")


def process_status(key):
    """A line of /proc/self/status (VmRSS, VmHWM), in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
    return 0


def measure(call, warm_up, steps):
    """Times of call(), and the rise of the resident size over what is there before it."""
    before = process_status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    times, cpu_times = [], []
    for i in range(warm_up + steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        call()
        if i >= warm_up:
            times.append(1e3 * (time.perf_counter() - start))
            cpu_times.append(1e3 * (time.process_time() - cpu_start))
    return {
        "median_ms": statistics.median(times),
        "min_ms": min(times),
        "cpu_ms": statistics.median(cpu_times),
        "peak_rise_mb": (process_status("VmHWM") - before) / 1e6,
    }


def measure_model(args):
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    height, width, channels = (int(n) for n in args.input.split("x"))
    layout = torch.channels_last if args.layout == "NHWC" else torch.contiguous_format
    model = build_model(args.model, height, width, channels, args.outputs, args.hidden)
    model = model.to(memory_format=layout)
    x = torch.randn(args.batch, channels, height, width).to(memory_format=layout)
    if args.inference:
        model.eval()
        with torch.no_grad():
            return measure(lambda: model(x), args.warm_up, args.steps)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    labels = torch.arange(args.batch) % args.outputs

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return measure(step, args.warm_up, args.steps)


RATE, N_FFT, HOP, MELS = 22050, 2048, 512, 128


def measure_mel(args):
    """log-mel of noise in decibels, 80 dB below its maximum; the filters are made once."""
    samples = args.seconds * RATE
    if args.library == "torchaudio":
        import torch
        import torchaudio

        torch.set_num_threads(args.threads)
        x = torch.randn(1, samples)
        mel = torchaudio.transforms.MelSpectrogram(
            RATE, n_fft=N_FFT, hop_length=HOP, n_mels=MELS, norm="slaney", mel_scale="slaney"
        )
        decibels = torchaudio.transforms.AmplitudeToDB(top_db=80)
        with torch.no_grad():
            return measure(lambda: decibels(mel(x)), args.warm_up, args.steps)
    import librosa
    import numpy

    x = numpy.random.default_rng(0).standard_normal(samples).astype(numpy.float32)
    filters = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=MELS)

    def call():
        power = numpy.abs(librosa.stft(x, n_fft=N_FFT, hop_length=HOP)) ** 2
        librosa.power_to_db(filters @ power, top_db=80)

    return measure(call, args.warm_up, args.steps)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("model", "mel", "version"))
    parser.add_argument("--library", choices=("torch", "torchaudio", "librosa"), default="torch")
    parser.add_argument("--model", default="resnet18", help="resnet18, tinyvgg or vgg4")
    parser.add_argument("--input", default="128x256x1", help="HxWxC")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=10, help="channels of a TinyVGG")
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--layout", choices=("NHWC", "NCHW"), default="NHWC")
    parser.add_argument("--seconds", type=int, default=45)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2)
    args = parser.parse_args()
    if args.what == "version":
        print(json.dumps(__import__(args.library).__version__))
    else:
        print(json.dumps(measure_model(args) if args.what == "model" else measure_mel(args)))


if __name__ == "__main__":
    main()
