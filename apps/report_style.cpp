// The style sheet of report.html.
#include "apps/report_page.h"

namespace etude::apps {

const char* report_style() {
  return R"css(
:root { color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1d2329; --soft: #66717c; --line: #e3e6e9;
  --c0: #2563c9; --c1: #d0620b; --c2: #7c8894; --c3: #2f8f5b; --cell: #2563c9; --on: #ffffff; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14181c; --card: #1c2127; --ink: #e6eaee; --soft: #98a4af; --line: #303840;
  --c0: #79aaf7; --c1: #f0a35c; --c2: #8d99a5; --c3: #6cc596; --cell: #79aaf7; --on: #10151a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 18px 56px; }
header p { margin: 2px 0 0; color: var(--soft); }
h1 { font-size: 1.55rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.08rem; margin: 34px 0 10px; overflow-wrap: anywhere; }
h3 { font-size: .92rem; margin: 0 0 6px; color: var(--soft); font-weight: 600; }
p.lead { margin: 14px 0 0; max-width: 46em; }
.tiles { display: grid; gap: 12px; margin-top: 18px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tile { padding: 12px 14px; }
.tile b { display: block; font-size: 1.65rem; line-height: 1.2; font-weight: 650;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.tile span { color: var(--soft); font-size: .84rem; }
.tile.first b { color: var(--c0); }
.card { padding: 14px; overflow-x: auto; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.grid.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
svg { display: block; width: 100%; height: auto; margin: 0 auto; }
.matrix { display: flex; justify-content: center; }
.tiles + .card, .card + .grid { margin-top: 12px; }
.bars svg { margin: 0; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  fill: var(--soft); }
svg text.title { font-size: 13px; font-weight: 600; fill: var(--ink); }
svg text.label, svg text.legend { font-size: 12px; fill: var(--ink); }
svg text.value { font-size: 12.5px; font-weight: 600; fill: var(--ink); }
svg text.count { font-size: 13px; font-weight: 600; fill: var(--ink); }
svg text.share { font-size: 10px; fill: var(--ink); opacity: .8; }
svg text.share.on { opacity: .95; }
svg text.on { fill: var(--on); }
line.grid { stroke: var(--line); stroke-width: 1; }
line.axis { stroke: var(--soft); stroke-width: 1; }
line.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 3; }
line.whisker { stroke: var(--ink); stroke-width: 1.2; opacity: .75; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); }
.line.c3 { stroke: var(--c3); } .line.dashed { stroke-dasharray: 5 4; stroke-width: 1.6; }
.wave { fill: var(--c2); fill-opacity: .55; }
.dot.c0, .bar.c0, .point.c0 { fill: var(--c0); }
.dot.c1, .bar.c1, .point.c1 { fill: var(--c1); }
.dot.c2, .bar.c2 { fill: var(--c2); }
.point { fill-opacity: .62; }
.hollow { fill: none; stroke-width: 1.2; stroke-opacity: .8; }
.hollow.c1 { stroke: var(--c1); }
rect.cell { fill: var(--cell); }
rect.cell.diagonal { stroke: var(--cell); stroke-width: 1; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .84rem; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; }
td.key { color: var(--soft); white-space: nowrap; width: 1%; padding-right: 18px; }
td.wide { overflow-wrap: anywhere; }
.meter { display: inline-block; vertical-align: middle; width: 68px; height: 7px; margin-left: 8px;
  background: var(--line); border-radius: 4px; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--c0); }
details { margin-top: 14px; }
summary { cursor: pointer; font-weight: 600; }
details .card { margin-top: 10px; }
footer { margin-top: 40px; color: var(--soft); font-size: .84rem; }
@media (max-width: 560px) { .meter { display: none; } th, td { padding-right: 6px; } }
@media print { :root { --paper: #fff; } main { max-width: none; padding: 0; }
  .tile, .card { break-inside: avoid; } h2 { break-after: avoid; } }
)css";
}

}  // namespace etude::apps
