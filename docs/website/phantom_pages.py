"""A page for each phantom, scenario and protocol, from its YAML, and a table of each kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_text import cell, escaped, table

from qsmbench.data.endpoints import OF_A_SCAN, OVER_SCANS
from qsmbench.listing import listings
from qsmbench.paths import data_dir
from qsmbench.phantom.description.scenario import Scenario, scenarios
from qsmbench.scan.protocol import load_protocol, protocols
from qsmbench.typed_yaml import load_yaml

PICTURES = {"head": "gallery/head.webp", "abdomen": "gallery/abdomen.webp"}
"""Pictures of phantoms, in docs."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and text of each page."""
    yield from _phantoms()
    yield from _scenarios()
    yield from _protocols()


def _phantoms() -> Iterator[tuple[str, str]]:
    files = sorted((data_dir() / "phantoms").glob("*.yaml"))
    rows = [(f.stem, _comment(f).split("\n\n")[0]) for f in files]
    yield _index("phantoms", "All phantoms", "`set` in a study overrides any key; see each page.", rows)
    for f in files:
        parts = [f"# {f.stem}", escaped(_comment(f))]
        if f.stem in PICTURES:
            parts.append(f"![A simulated scan of {f.stem}](../../{PICTURES[f.stem]})")
        parts += ["## Keys", _keys(f.stem), "## Regions", _listed("regions", f.stem)]
        yield f"reference/phantoms/{f.stem}.md", "\n\n".join(parts)


def _scenarios() -> Iterator[tuple[str, str]]:
    loaded = {name: (path, load_yaml(path, Scenario)) for name, path in scenarios().items()}
    rows = [(name, s.question) for name, (_, s) in loaded.items()]
    about = "A scenario is a phantom for a clinical question; [endpoints](../../endpoints.md) answer it."
    yield _index("scenarios", "All scenarios", about, rows)
    for name, (path, s) in loaded.items():
        facts = [
            ("question", s.question),
            ("answered by", s.endpoint),
            ("phantom", f"[{s.phantom}](../phantoms/{s.phantom}.md)"),
            ("recommended protocol", f"[{s.protocol}](../protocols/{s.protocol}.md)"),
            ("cases", ", ".join(f"`{c}`" for c in s.cases)),
            ("compared with", ", ".join(f"`{c}`" for c in s.controls) or f"`{next(iter(s.cases))}`"),
            ("regions", ", ".join(f"`{r}`" for r in s.regions) or "–"),
            ("source of the numbers", cell(s.source) + ("; some are assumed" if s.assumed else "")),
        ]
        lines = "\n".join(f"| {key} | {value} |" for key, value in facts)
        parts = [f"# {name}", escaped(_comment(path)), f"| | |\n|---|---|\n{lines}"]
        if s.endpoints:
            parts += ["## Endpoints", table(("endpoint", "meaning"), [(e, _endpoint(e)) for e in s.endpoints])]
        parts += ["## Definition", f"```yaml\n{_without_comment(path)}\n```"]
        yield f"reference/scenarios/{name}.md", "\n\n".join(parts)


def _protocols() -> Iterator[tuple[str, str]]:
    loaded = {name: load_protocol(name) for name in protocols()}
    about = "`set_protocol` in a study overrides any key; see each page."
    yield _index("protocols", "All protocols", about, [(name, p.description) for name, p in loaded.items()])
    for name, p in loaded.items():
        parts = [f"# {name}", escaped(p.description), f"Source: {escaped(p.source)}", "## Keys", _keys(name)]
        yield f"reference/protocols/{name}.md", "\n\n".join(parts)


def _index(kind: str, title: str, about: str, rows: list[tuple[str, str]]) -> tuple[str, str]:
    lines = [f"| [`{name}`]({name}.md) | {cell(text)} |" for name, text in rows]
    return f"reference/{kind}/index.md", "\n\n".join([f"# {title}", about, "\n".join(["| | |", "|---|---|", *lines])])


def _keys(name: str) -> str:
    return _listed("keys", name)


def _listed(what: str, name: str) -> str:
    return "\n\n".join(table(listing.columns, listing.rows) for listing in listings(what, name, {}))


def _endpoint(name: str) -> str:
    if name in OF_A_SCAN:
        from qsmbench import metrics

        return metrics.find(name).definition.splitlines()[0]
    return OVER_SCANS[name].meaning


def _comment(path: Path) -> str:
    """Return the comment at the top of a YAML file, as one paragraph."""
    lines = re.match(r"(?:#.*\n)*", path.read_text())
    return " ".join(line.lstrip("# ") for line in (lines[0] if lines else "").splitlines())


def _without_comment(path: Path) -> str:
    return re.sub(r"\A(?:#.*\n)*", "", path.read_text()).strip()
