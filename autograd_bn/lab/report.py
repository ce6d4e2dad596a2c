"""One page with every result: figures, tables, verdicts, settings, and the commands that made them. It needs nothing from anywhere."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograd_bn.core.errors import OperationError
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.outcome import Outcome, read
from autograd_bn.lab.verdict import Verdict

COLOURS = {figures.INK: "currentColor", figures.ACCENT: "var(--red)", figures.BLUE: "var(--blue)", figures.AMBER: "var(--amber)", figures.GREY: "var(--grey)"}
"""What stands for a figure's colours on the page, so that they follow its light or dark scheme."""

STYLE = """
:root {
  color-scheme: light dark; --paper: #fff; --text: #1f2328; --soft: #f6f8fa; --line: #d0d7de;
  --red: #b3261e; --blue: #1f6feb; --green: #2e7d32; --amber: #c77700; --grey: #8b949e;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --text: #e6edf3; --soft: #161b22; --line: #30363d; --red: #ff8a80; --blue: #79b8ff; --green: #81c784; --amber: #ffb74d; }
}
body { background: var(--paper); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 2rem 1rem 4rem; }
h1, h2 { line-height: 1.2; } h2 { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 2rem; }
a { color: var(--blue); } blockquote { border-left: 3px solid var(--line); margin: 1rem 0; padding-left: 1rem; }
figure { margin: 1.5rem 0; } figure svg { height: auto; max-width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left; }
.numbers td:not(:first-child) { font-variant-numeric: tabular-nums; white-space: nowrap; }
.kind { border: 1px solid currentColor; border-radius: 1rem; font-size: .85rem; font-weight: 600; padding: .1rem .6rem; white-space: nowrap; }
.holds { color: var(--green); } .in-part { color: var(--blue); } .not { color: var(--red); }
code, pre { background: var(--soft); border-radius: .25rem; font-size: .9em; padding: .1rem .3rem; } .small { color: var(--grey); font-size: .9rem; }
"""
MARKS = {"holds": "holds", "holds in part": "in-part", "does not hold": "not"}


def collected(out: str | os.PathLike[str]) -> list[Outcome]:
    """The outcomes of all runs in a folder, in the order of their files. Raises OperationError where there is none."""
    found = [read(path) for path in sorted(Path(out).glob("*/results.json"))]
    if not found:
        raise OperationError(f"there are no results in {out}; autograd-bn lab run NAME --out {out} makes some")
    return found


def report(outcomes: Sequence[Outcome], experiments: Mapping[str, Experiment]) -> str:
    """The page of some outcomes, as HTML. Raises ImportError without matplotlib."""
    by_name = {outcome.experiment: outcome for outcome in outcomes}
    unknown = sorted(set(by_name) - set(experiments))
    if unknown:
        raise OperationError(f"report: there is no experiment {', '.join(unknown)}; there is {', '.join(experiments)}")
    ordered = [(experiments[name], by_name[name]) for name in experiments if name in by_name]
    contents = "".join(
        f'<tr><td><a href="#{e.name}">{html.escape(e.title)}</a></td><td>{_badge(o.verdict)}</td><td>{o.seeds}</td>'
        f"<td>{'quick' if o.quick else 'full'}</td></tr>"
        for e, o in ordered
    )
    sections = "\n".join(_section(e, o) for e, o in ordered)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Batch norm in the laboratory</title><style>{STYLE}</style></head><body>\n<h1>Batch norm in the laboratory</h1>\n"
        f"<table><thead><tr><th>experiment</th><th>verdict</th><th>seeds</th><th>run</th></tr></thead><tbody>{contents}</tbody></table>\n"
        f"{sections}\n</body></html>\n"
    )


def inlined(svg: str) -> str:
    """A figure as part of a page, its colours those of the page."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    for colour, name in COLOURS.items():
        svg = svg.replace(colour, name)
    return svg


def _badge(verdict: Verdict) -> str:
    return f'<span class="kind {MARKS[verdict.kind]}">{verdict.kind}</span>'


def _section(experiment: Experiment, outcome: Outcome) -> str:
    e = html.escape
    verdict = outcome.verdict
    checks = "".join(
        f'<tr><td>{e(c.statement)}</td><td class="{"holds" if c.holds else "not"}">{"yes" if c.holds else "no"}</td><td>{e(c.numbers)}</td></tr>'
        for c in verdict.checks
    )
    parts = [
        f'<section id="{experiment.name}"><h2>{e(experiment.title)}</h2>',
        f"<blockquote>{e(experiment.claim)}<br><span class=small>{e(experiment.citation)}</span></blockquote>",
        f"<p>{_badge(verdict)} {e(verdict.paragraph)}</p>",
        f"<figure>{inlined(figures.drawn(experiment, outcome.results, background='none'))}</figure>",
        f"<div class=scroll><table><thead><tr><th>statement</th><th>borne out</th><th>numbers</th></tr></thead><tbody>{checks}</tbody></table></div>",
        _numbers(verdict),
        f"<p><b>What it does not show.</b> {e(experiment.limits)}</p>",
        f"<p class=small>{outcome.seeds} seeds; {len(outcome.results)} cells, {outcome.seconds:.0f} s of computing; autograd_bn {e(outcome.version)}; made by "
        f"<code>{e(outcome.command or 'autograd_bn.lab.run')}</code></p>",
        f"<details><summary>Settings</summary><div class=scroll>{_settings(outcome)}</div></details></section>",
    ]
    return "\n".join(parts)


def _numbers(verdict: Verdict) -> str:
    if not verdict.rows:
        return ""
    agrees = {True: "yes", False: "no", None: ""}
    body = "".join(
        f"<tr><td>{html.escape(r.name)}</td><td>{r.ours}</td><td>{r.ours.n}</td><td>{html.escape(r.published)}</td><td>{agrees[r.agrees]}</td></tr>"
        for r in verdict.rows
    )
    head = "<tr><th></th><th>ours, mean ± std</th><th>seeds</th><th>published</th><th>in range</th></tr>"
    return f"<div class=scroll><table class=numbers><thead>{head}</thead><tbody>{body}</tbody></table></div>"


def _settings(outcome: Outcome) -> str:
    names = list(dict.fromkeys(name for cell in outcome.results for name in cell.settings))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in [*names, "seconds"])
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell.settings.get(name, '')))}</td>" for name in names) + f"<td>{cell.seconds:.1f}</td></tr>"
        for cell in outcome.results
    )
    return f"<table class=numbers><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
