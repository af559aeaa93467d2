#!/usr/bin/env bash
# Renders a report and the page of a prediction in headless Chromium: on a phone, on a desk and as
# PDF. Checks that something is drawn, and that nothing sticks out of a phone's screen.
#
#   render_pages.sh ETUDE
#
# Exits with 77 (skipped) where there is no Chromium.
set -euo pipefail
etude=$1
for name in chromium chromium-browser google-chrome; do
  browser=$(command -v "$name") && break
done
if [[ -z ${browser:-} ]]; then
  echo "skipped: no Chromium here (Debian: chromium)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work # Chromium leaves its profile there

# Two kinds of noise and tone, sixteen files each: enough for every part of the report.
python3 - "$work" <<'PY'
import array, math, pathlib, random, sys, wave
random.seed(1)
for kind, pitch in (("low", 220), ("high", 1760)):
    folder = pathlib.Path(sys.argv[1], "data", kind)
    folder.mkdir(parents=True)
    for i in range(16):
        tone = pitch * random.uniform(0.8, 1.2)
        samples = array.array("h", (int(9000 * math.sin(6.2832 * tone * t / 16000) +
                                        random.gauss(0, 3000)) for t in range(32000)))
        with wave.open(str(folder / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
PY
"$etude" train --dataset folder --data "$work/data" --model tinyvgg --epochs 2 --cache none \
  --out "$work/run" 2>"$work/log" || { cat "$work/log"; exit 1; }
"$etude" predict "$work/run" "$work/data/low/0.wav" --html "$work/predict.html" >/dev/null

render() { # OPTION... URL
  timeout 60 "$browser" --headless --no-sandbox --disable-gpu --allow-file-access-from-files \
    --virtual-time-budget=2000 "$@" 2>>"$work/browser.log"
}
for page in run/report predict; do
  file=$work/$page.html
  for width in 390 1200; do
    render --window-size=$width,900 --screenshot="$work/shot.png" "file://$file" >/dev/null
    size=$(stat -c %s "$work/shot.png")
    echo "$page at $width pixels: picture of $size bytes"
    ((size > 10000)) || { echo "nothing is drawn"; cat "$work/browser.log"; exit 1; }
    rm "$work/shot.png"
  done
  render --print-to-pdf="$work/page.pdf" "file://$file" >/dev/null
  [[ $(head -c 5 "$work/page.pdf") == %PDF- ]] || { echo "no PDF"; exit 1; }
  # How wide the page wants to be in a frame of a phone's width, as text of the outer page.
  cat >"$work/frame.html" <<HTML
<body><iframe width="360" height="700" src="$file" onload="document.title =
  this.contentDocument.documentElement.scrollWidth"></iframe></body>
HTML
  wide=$(render --dump-dom "file://$work/frame.html" | sed -n 's/.*<title>\([0-9]*\)<.*/\1/p')
  echo "$page in a frame of 360 pixels: ${wide:-unknown} wide"
  ((${wide:-9999} <= 360)) || { echo "it sticks out"; exit 1; }
done
