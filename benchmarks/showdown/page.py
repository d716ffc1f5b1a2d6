"""A run as a page for people: one HTML file with everything in it, plots drawn by matplotlib as SVG."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from showdown import figures, tables
from showdown.figures import Told, Value

OURS_COLOUR, FLOOR_COLOUR, OTHER_COLOUR = "#0b7a4b", "#8a8f98", "#c2502e"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem } svg { max-width: 100%; height: auto }
table { border-collapse: collapse } td, th { padding: .25rem .75rem; border-bottom: 1px solid #ddd }
td, th { text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
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
        "<ul>",
        *(f"<li><b>{_safe(name)}</b>: {_safe(told['what'])}" for name, told in result["contenders"].items()),
        *(f"<li><b>{_safe(name)}</b>: left out: {_safe(why)}" for name, why in result["missing"].items()),
        "</ul><h2>What is aimed at</h2>",
        _verdicts(result),
    ]
    for title, said, drawn in _plots(result):
        parts.append(f"<h2>{_safe(title)}</h2><p>{_safe(said)}</p>{drawn}")
    parts.append(f"<h2>All figures</h2><pre>{_safe(tables.report(result))}</pre>")
    return "\n".join(parts) + "</html>\n"


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
        rows.append(
            f"<tr><td>{_safe(aim.what)}<td class=number>{shown}<td class=number>{word} {aim.aim:g}{met}"
        )
    return "".join(rows) + "</table>"


def _plots(result: Told) -> list[tuple[str, str, str]]:
    """Titles, what they say, and SVG; of what was measured in this run."""
    them, works = result["contenders"], result["works"]
    found: list[tuple[str, str, str]] = []

    def bars(title: str, said: str, unit: str, figure: Callable[[Told], Value]) -> None:
        values = {name: value for name, told in them.items() if (value := figure(told))}
        if values:
            found.append((title, said, _bars(values, unit)))

    if "web" in works:
        said = f"{works['web']}: more is better."
        bars(
            "Web server: requests a second",
            said,
            "requests/s",
            _middle("web", figures.requests_a_second),
        )
        bars(
            "Web server: CPU of the pipeline",
            "While it serves, in percent of one processor: less is better.",
            "%",
            _middle("web", figures.busy_percent),
        )
        bars(
            "Web server: slow requests",
            "99th percentile.",
            "ms",
            _middle("web", figures.took_ms("p99")),
        )
    for name, title in (("open", "open() storm"), ("exec", "Exec storm"), ("connect", "Connections")):
        if name in works:
            said = f"{works[name]}: CPU of all processes of the pipeline, an event that came out."
            bars(
                f"{title}: CPU an event",
                said,
                "µs",
                _middle(name, figures.cpu_us),
            )
    for when, title in (("rest", "at rest"), ("storm", "in the open() storm")):
        times = {
            name: told[f"latency_{when}"]["ms"] for name, told in them.items() if f"latency_{when}" in told
        }
        if any(times.values()):
            found.append(
                (
                    f"From system call to line on disk, {title}",
                    "Share of the lines that had come by then.",
                    _shares(times),
                )
            )
    bars("Memory", "The most that was resident, all processes together.", "MB", figures.peak_mb)
    bars(
        "Bytes on disk",
        "For an open() event, all files together.",
        "bytes",
        lambda told: figures.middle(told, "open", figures.bytes_an_event) if "open" in works else None,
    )
    bars(
        "A reader that stood still",
        f"Events that were kept of {result['sizes']['burst_records'] // 5:,}.",
        "events",
        lambda told: ((told.get("burst") or {}).get("delivered") or {}).get("events"),
    )
    return found  # fmt: skip


def _middle(work: str, figure: Callable[[Told], Value]) -> Callable[[Told], Value]:
    return lambda told: figures.middle(told, work, figure)


def _colour(name: str) -> str:
    if name.startswith("tsauditd"):
        return OURS_COLOUR
    return OTHER_COLOUR if name.startswith(("auditd", "go-", "Auditbeat")) else FLOOR_COLOUR


def _bars(values: dict[str, float], unit: str) -> str:
    figure = Figure(figsize=(9, 0.42 * len(values) + 0.7))
    axes = figure.subplots()
    names = list(values)
    drawn = axes.barh(names, [values[name] for name in names], color=[_colour(name) for name in names])
    axes.bar_label(drawn, [f" {_short(value)} {unit}" for value in values.values()])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return _svg(figure)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _shares(times: dict[str, Sequence[float]]) -> str:
    figure = Figure(figsize=(9, 4.2))
    axes = figure.subplots()
    lines = {"floor": "-", "tsauditd": "-"}
    for number, (name, values) in enumerate(times.items()):
        if values:
            style = lines.get(name, ("--", ":", "-.")[number % 3])
            width = 2.4 if name == figures.OURS else 1.4
            axes.ecdf(values, label=name, linestyle=style, linewidth=width)
    axes.set_xscale("log")
    axes.set_xlabel("ms")
    axes.legend(frameon=False)
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
