"""A page for each method, from its declaration, and a table of all of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from markdown_text import escaped, table

from qsmbench.listing import listings
from qsmbench.method import STAGES, Method
from qsmbench.paths import data_dir
from qsmbench.run import registry
from qsmbench.study.estimate import DURATIONS, committed_costs

FOLDER = "reference/methods"

TITLES = {
    "mask": "Masks",
    "unwrap": "Phase and unwrapping",
    "field": "Field",
    "chemical_shift": "Water and fat",
    "background": "Background removal",
    "inversion": "Inversion",
    "joint": "Combined steps",
    "separation": "χ+ and χ−",
    "contrast": "R2*, weighted images, veins, iron",
    "controls": "Controls",
}
"""Headings of the stages."""

_SECTION = re.compile(r"^(?:Args|Returns|Raises|Differences|Reference|Example):$", re.M)


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each page."""
    methods = built_in()
    yield f"{FOLDER}/index.md", _index(methods)
    findings = _findings()
    for method in methods:
        yield path_of(method), _page(method, findings)


def built_in() -> list[Method]:
    """Return the methods of the package, by stage."""
    found = [registry.describe(name) for name in registry.names()]
    own = [m for m in found if not m.broken and stage_of(m) in STAGES]
    return sorted(own, key=lambda m: (STAGES.index(stage_of(m)), m.name))


def stage_of(method: Method) -> str:
    """Return the folder of a method's file."""
    return method.source.parent.name


def path_of(method: Method) -> str:
    """Return the path of a method's page."""
    return f"{FOLDER}/{stage_of(method)}/{method.name}.md"


def _index(methods: list[Method]) -> str:
    costs = committed_costs()
    parts = [
        "# All methods",
        "Each page is made from the declaration of the method. [Choosing and combining methods](../../methods.md) says "
        "which of them fit together and what was found about them. Time and memory are per million voxels, on one "
        "core.",
    ]
    for stage in STAGES:
        rows = []
        for m in (m for m in methods if stage_of(m) == stage):
            cost = costs.get(f"step {m.name}")
            time, memory = (f"{cost.seconds:.2g}", f"{cost.memory:.0f}") if cost else ("–", "–")
            link = f"[`{m.name}`]({stage}/{m.name}.md)"
            rows.append(f"| {link} | {escaped(m.summary)} | {time} | {memory} |")
        heading = "| method | | time, s | memory, MiB |\n|---|---|---|---|"
        parts += [f"## {TITLES[stage]}", "\n".join([heading, *rows])]
    return "\n\n".join(parts)


def _page(method: Method, findings: dict[str, str]) -> str:
    doc = inspect.getdoc(method.function) or ""
    body = _SECTION.split(doc)[0].strip()
    call = f"chi = qb.methods.{method.name}({', '.join(method.consumes)})".replace("chi", ", ".join(method.produces), 1)
    parts = [f"# {method.name}", escaped(body), f"```python\n{call}\n```", "## Inputs and outputs", _volumes(method)]
    parts += ["## Settings", _settings(method)]
    if method.differences:
        parts += ["## Where it differs from the publication", escaped(method.differences)]
    parts += ["## Cost", _cost(method), "## References", escaped(method.references)]
    named = [f"- [{title}](../../../methods.md#{anchor})" for title, anchor in _about(method, findings)]
    if named:
        parts += ["## What was found", "\n".join(named)]
    source = method.source.relative_to(Path(inspect.getfile(registry)).parents[2])
    parts.append(f"Source: `{source}`. {_arrays(method)}")
    return "\n\n".join(parts)


def _volumes(method: Method) -> str:
    texts, products = method.parameter_texts, method.product_texts
    rows = [("in", n, texts[n] + (" (optional)" if n in method.optional else "")) for n in method.consumes]
    rows += [("out", n, products[n]) for n in method.produces]
    return table(("name", "", "meaning"), [(name, way, text) for way, name, text in rows])


def _settings(method: Method) -> str:
    (listing,) = listings("settings", method.name, {})
    return table(listing.columns, listing.rows) if listing.rows else "It has no settings."


def _cost(method: Method) -> str:
    cost = committed_costs().get(f"step {method.name}")
    if cost is None:
        return f"Not recorded in `{DURATIONS}`."
    return (
        f"{cost.seconds:.2g} s, {cost.memory:.0f} MiB of memory beyond the inputs and libraries, and "
        f"{cost.disk:.2g} MiB on disk, per million voxels of the volume, on one core (`{DURATIONS}`)."
    )


def _arrays(method: Method) -> str:
    return "It accepts arrays of NumPy, CuPy and PyTorch." if method.portable else "It computes on NumPy arrays."


def _findings() -> dict[str, str]:
    """Return the sections of docs/methods.md below a heading of the third level, by heading."""
    text = (data_dir() / "docs" / "methods.md").read_text()
    parts = re.split(r"^### (.*)$", text, flags=re.M)
    return {title: re.split(r"^## ", body, flags=re.M)[0] for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _about(method: Method, findings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield title and anchor of each finding that names the method."""
    from markdown.extensions.toc import slugify

    for title, text in findings.items():
        if f"`{method.name}`" in f"{title}\n{text}":
            yield title.replace("`", ""), slugify(title.replace("`", ""), "-")
