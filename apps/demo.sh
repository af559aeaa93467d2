#!/usr/bin/env bash
# The main job from end to end, on music made here: demo.sh PROGRAM FOLDER
#
# Makes a corpus of synthetic songs in DEAM's layout, verifies it, trains a ResNet on it, evaluates
# on songs it has never seen, and predicts one of them. Everything lies below FOLDER.
set -euo pipefail
etude=$1
out=$2
songs=${DEMO_SONGS:-280}

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() {
  printf '\033[2m$ %s\033[0m\n' "$*"
  "$@"
}

mkdir -p "$out"
rm -rf "$out/run"

step "A corpus: $songs songs whose valence and arousal are known"
show "$etude" synth "$out/corpus" --songs "$songs" --seconds 30 --seed 7 --layout deam

step "Is it sound?"
show "$etude" data verify "$out/corpus" --dataset deam

step "Train"
show "$etude" train --dataset deam --data "$out/corpus" --task quadrants --model resnet18 \
  --epochs 45 --seed 1 --cache "$out/cache" --out "$out/run"

step "Evaluate on songs it has never seen"
show "$etude" eval "$out/run"

step "Predict one of them"
id=$(awk -F, '$2 == "test" { sub(".*/", "", $1); print $1; exit }' "$out/run/split.csv")
show "$etude" predict "$out/run" "$(find "$out/corpus" -name "$id.mp3")"

step "The report: $(realpath "$out/run/report.html")"
