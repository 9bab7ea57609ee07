"""A page for each metric, from its declaration, and a table of all of them."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_text import escaped, table

from qsmbench import metrics
from qsmbench.metrics._declaration import CONSUMABLE

FOLDER = "reference/metrics"


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each page."""
    found = [metrics.find(name) for name in metrics.names()]
    rows = [
        f"| [`{m.name}`]({m.name}.md) | {escaped(m.definition.splitlines()[0])} | {_unit(m)} | {_better(m)} |"
        for m in found
    ]
    head = [
        "# All metrics",
        "Each page is made from the declaration of the metric. [Statistics](../../statistics.md) says how values of "
        "several subjects become intervals and ranks.",
        "\n".join(["| metric | | unit | better |", "|---|---|---|---|", *rows]),
    ]
    yield f"{FOLDER}/index.md", "\n\n".join(head)
    for m in found:
        yield f"{FOLDER}/{m.name}.md", _page(m)


def _page(m: metrics.Metric) -> str:
    facts = [
        ("label", m.label),
        ("unit", _unit(m)),
        ("a perfect map has", f"{m.best:g}"),
        ("better", _better(m)),
        ("scores", ", ".join(f"`{a}`" for a in m.artifacts) or "every scored artifact"),
        ("by", {"region": "region", "source": "source"}[m.per] if _by(m) else "–"),
        ("source", m.reference),
    ]
    inputs = [(name, CONSUMABLE[name]) for name in m.consumes]
    parts = [f"# {m.name}", escaped(m.definition), table(("", ""), facts, code=0)]
    parts += ["## Inputs", table(("name", "meaning"), inputs), f"Source: `qsmbench/metrics/{m.name}.py`."]
    return "\n\n".join(parts)


def _by(m: metrics.Metric) -> bool:
    return bool({"labels", "regions", "sources", "source_table"} & set(m.consumes))


def _unit(m: metrics.Metric) -> str:
    return "of the map" if m.unit is None else m.unit or "–"


def _better(m: metrics.Metric) -> str:
    return {True: "higher", False: "lower", None: f"closer to {m.best:g}"}[m.higher_is_better]
