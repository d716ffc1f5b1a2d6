"""A run as a page for people: one HTML file with everything in it, plots drawn by matplotlib as SVG."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from report import busy, median

from showdown import figures, tables
from showdown.figures import Told, Value

OURS_COLOUR, FLOOR_COLOUR, OTHER_COLOUR = "#0b7a4b", "#8a8f98", "#c2502e"
GREENS, REDS, GREYS = (
    ("#0b7a4b", "#53b584", "#1f6fb2"),
    ("#c2502e", "#e3a08c", "#7a2d6f", "#d49a00"),
    ("#8a8f98",),
)
"""Those of lines in one plot, by turns."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem } svg { max-width: 100%; height: auto }
table { border-collapse: collapse } td, th { padding: .25rem .75rem; border-bottom: 1px solid #ddd }
td, th { text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.busy { background: #fff3cd; padding: .5rem 1rem } .bound { color: #6b7280; font-size: 13px }
.reached { color: #0b7a4b } .missed { color: #b3261e }
pre { overflow-x: auto; font-size: 12px; background: #f6f7f9; padding: 1rem }
"""


def page(result: Told) -> str:
    """The whole document. Nothing in it is loaded from elsewhere."""
    about = result["machine"]
    versions = ", ".join(f"{name} ({text})" for name, text in result["versions"].items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>tsauditd: the showdown</title>",
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>",
        "<h1>The showdown</h1>",
        f"<p>{about['processors']} &times; {_safe(about['processor'])}, {about['memory_mb']:,} MB, Linux",
        f"{_safe(about['kernel'])}, {_safe(about['distribution'])}, {_safe(about['when'])}.<br>{_safe(versions)}.</p>",
        _warnings(result),
        f"<p>Rounds: {result['rounds']}. All take turns under the same rules and the same work. Bars are medians, the",
        "thin lines reach from the least to the most. Green is tsauditd, red are others, grey is what cannot be less:",
        "no audit at all, and programs that receive the kernel's records and throw them away.</p>",
        "<ul>",
        *(f"<li><b>{_safe(name)}</b>: {_safe(told['what'])}" for name, told in result["contenders"].items()),
        *(f"<li><b>{_safe(name)}</b>: left out: {_safe(why)}" for name, why in result["missing"].items()),
        *(
            f"<li><b>{_safe(name)}</b>: a round failed: {_safe(why)}"
            for name, each in tables.failures(result)
            for why in each
        ),
        "</ul><h2>What is aimed at</h2>",
        _verdicts(result),
    ]
    for title, said, drawn in _plots(result):
        parts.append(f"<h2>{_safe(title)}</h2><p>{_safe(said)}</p>{drawn}")
    parts.append(f"<h2>All figures</h2><pre>{_safe(tables.report(result))}</pre>")
    return "\n".join(parts) + "</html>\n"


def _warnings(result: Told) -> str:
    said = []
    if busy(result["machine"]):
        said.append("The machine was busy with other work: do not trust these figures.")
    if result["quick"]:
        said.append("A tenth of the work: these figures mean nothing.")
    return f"<p class=busy>{' '.join(said)}</p>" if said else ""


def _safe(text: Any) -> str:
    return html.escape(str(text))


def _verdicts(result: Told) -> str:
    rows = ["<table><tr><th>figure<th>value<th>aim<th>"]
    for aim, value in figures.verdicts(result):
        word = "at most" if aim.most else "at least"
        if value is None:
            met = "<td>not measured"
        elif (value <= aim.aim) if aim.most else (value >= aim.aim):
            met = "<td class=reached>reached"
        else:
            met = "<td class=missed>missed"
        shown = figures.text(value)
        bound = aim.bound(result)
        what = _safe(aim.what) + (f"<br><span class=bound>{_safe(bound)}</span>" if bound else "")
        rows.append(f"<tr><td>{what}<td class=number>{shown}<td class=number>{word} {aim.aim:g}{met}")
    return "".join(rows) + "</table>"


def _plots(result: Told) -> list[tuple[str, str, str]]:
    """Titles, what they say, and SVG; of what was measured in this run."""
    them, works = result["contenders"], result["works"]
    found: list[tuple[str, str, str]] = []

    def bars(title: str, said: str, unit: str, values: Callable[[Told], Sequence[float]]) -> None:
        each = {name: of for name, told in them.items() if (of := values(told))}
        if each:
            found.append((title, said, _bars(each, unit)))

    def of_rounds(work: str, figure: Callable[[Told], Value]) -> Callable[[Told], Sequence[float]]:
        return lambda told: figures.each(told, work, figure)

    def of_once(figure: Callable[[Told], Value]) -> Callable[[Told], Sequence[float]]:
        return lambda told: [] if (value := figure(told)) is None else [value]

    if "web" in works:
        for what, said, unit, figure in _WEB:
            bars(f"Web server: {what}", f"{works['web']}: {said}", unit, of_rounds("web", figure))
    for name, title in (("open", "open() storm"), ("exec", "Exec storm"), ("connect", "Connections")):
        if name in works:
            said = f"{works[name]}: all processes of the pipeline, for an event that came out whole: less is better."
            bars(f"{title}: CPU an event", said, "µs", of_rounds(name, figures.cpu_us))
    if "build" in works:
        said = f"{works['build']}: less is better."
        bars("A compile: how long it takes", said, "s", of_rounds("build", figures.wall_s))
    for when, title in (("rest", "at rest"), ("storm", "in the open() storm")):
        times = {
            name: told[f"latency_{when}"]["ms"] for name, told in them.items() if f"latency_{when}" in told
        }
        if any(times.values()):
            said = "Share of the lines that had come by then; further to the left is better."
            found.append((f"From system call to line on disk, {title}", said, _shares(times)))
    said = "The most that was resident in any of the work, all processes together: less is better."
    bars("Memory", said, "MB", of_once(figures.peak_mb))
    said = "Voluntary context switches a second while nothing happens: less is better."
    bars("Rest", said, "a second", of_once(lambda told: figures.idle(told, "wakeups_a_second")))
    for name in ("open", "build"):
        if name in works:
            said = (
                f"{works[name]}: all files together, not compressed. What a line says differs: see the table."
            )
            bars(f"Bytes on disk an event ({name})", said, "bytes", of_rounds(name, figures.bytes_an_event))
    bars(
        "A reader that stood still",
        f"Events that were kept of {result['sizes']['burst_records'] // 5:,}: more is better.",
        "events",
        of_once(lambda told: ((told.get("burst") or {}).get("delivered") or {}).get("events")),
    )
    return found


_WEB = (
    ("requests a second", "more is better.", "requests/s", figures.requests_a_second),
    ("slow requests", "the 99th percentile, less is better.", "ms", figures.took_ms("p99")),
    (
        "CPU of the pipeline",
        "while it serves, in percent of one processor: less is better.",
        "%",
        figures.busy_percent,
    ),
    ("CPU a request", "all processes of the pipeline, less is better.", "µs", figures.cpu_us_a_request),
)


def _colour(name: str) -> str:
    if name.startswith("tsauditd"):
        return OURS_COLOUR
    return OTHER_COLOUR if name.startswith(("auditd", "go-", "Auditbeat")) else FLOOR_COLOUR


def _bars(values: dict[str, Sequence[float]], unit: str) -> str:
    figure = Figure(figsize=(9, 0.42 * len(values) + 0.7))
    axes = figure.subplots()
    names, middles = list(values), [median(each) for each in values.values()]
    drawn = axes.barh(names, middles, color=[_colour(name) for name in names])
    axes.hlines(
        names, [min(of) for of in values.values()], [max(of) for of in values.values()], "#1b1f24", lw=1
    )
    # Beside the longest mark of each: the bar's end, or its line's.
    for bar, middle, each in zip(drawn, middles, values.values(), strict=True):
        place = max(*each, middle), bar.get_y() + bar.get_height() / 2
        axes.annotate(f"{_short(middle)} {unit}", place, (5, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False)
    return _svg(figure)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shares(times: dict[str, Sequence[float]]) -> str:
    figure = Figure(figsize=(9, 4.2))
    axes = figure.subplots()
    left = {OURS_COLOUR: cycle(GREENS), OTHER_COLOUR: cycle(REDS), FLOOR_COLOUR: cycle(GREYS)}
    for name, values in times.items():
        if values:
            width = 2.6 if name == figures.OURS else 1.5
            axes.ecdf(values, label=name, linewidth=width, color=next(left[_colour(name)]))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("ms")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(color="#e5e7eb")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "showdown"}):
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]


def write(result: Told, path: Path) -> Path:
    """Writes the page and returns its path."""
    path.write_text(page(result), encoding="utf-8")
    return path
