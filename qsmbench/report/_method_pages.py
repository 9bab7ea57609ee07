"""A page for each method of a study: what it is, where its chains stand, what it took, and where it failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from qsmbench.analysis.endpoints import TRUTH
from qsmbench.analysis.overview import Overview, Standing
from qsmbench.report._endpoints import EndpointTable
from qsmbench.report._methods import MethodUse
from qsmbench.report._pictures import Picture
from qsmbench.report._summary import rank_text

_DOI = re.compile(r"doi:(10\.\d+/\S+)")


def page_names(methods: Iterable[MethodUse]) -> dict[str, str]:
    """Return the file name of each method's page, by its name in the chains; they also differ where case does not."""
    found: dict[str, str] = {}
    for m in methods:
        stem = f"method_{re.sub(r'[^A-Za-z0-9_.+-]', '-', m.name)}"
        taken = [name.lower() for name in found.values()]
        names = (f"{stem}{f'-{i}' if i else ''}.html" for i in range(len(taken) + 1))
        found[m.name] = next(name for name in names if name.lower() not in taken)
    return found


def linked(addresses: Mapping[str, str]) -> Callable[[str], Markup]:
    """Return a function that gives a chain as HTML, in which each step is a link if it has an address."""

    @cache
    def steps(chain: str) -> Markup:
        names = chain.split(".")
        if not any(name in addresses for name in names):
            return escape(chain)
        link = Markup('<a href="{}">{}</a>')
        parts = [link.format(addresses[name], name) if name in addresses else escape(name) for name in names]
        return Markup('<span class="steps">{}</span>').format(Markup(".<wbr>").join(parts))

    return steps


def method_content(m: MethodUse, report: Mapping[str, Any], pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the content of a method's page.

    Args:
        m: the method.
        report: content of the first page.
        pictures: of the study.
    """
    stands = [{s: _with(m.name, o) for s, o in both.items()} for both in report["overviews"]]
    shown = [(both, own) for both, own in zip(report["overviews"], stands, strict=True) if _names(own["study"])]
    return {
        "method": m,
        "overviews": [own for _, own in shown],
        "stands": [_stands(m.name, both["study"]) for both, _ in shown],
        "picture": _picture(m.name, [own["study"] for _, own in shown], pictures),
        "endpoints": _endpoints(m.name, report["endpoints"]),
        "references": with_doi_links(m.references),
    }


def with_doi_links(text: str) -> Markup:
    """Return a text as HTML in which every DOI is a link."""
    parts, end = [], 0
    for found in _DOI.finditer(text):
        doi = found[1].rstrip(".,;:")
        while doi.endswith(")") and doi.count("(") < doi.count(")"):
            doi = doi[:-1].rstrip(".,;:")
        anchor = Markup('<a href="https://doi.org/{0}" rel="noreferrer">doi:{0}</a>').format(doi)
        parts += [escape(text[end : found.start()]), anchor]
        end = found.start(1) + len(doi)
    return Markup("").join([*parts, escape(text[end:])])


def contains(chain: str, name: str) -> bool:
    """Whether a method is a step of a chain."""
    return name in chain.split(".")


def _with(name: str, o: Overview) -> Overview:
    """Return the part of an overview that is about the chains with a method."""
    isolated, others, controls = ([s for s in p if contains(s.chain, name)] for p in (o.isolated, o.others, o.controls))
    return replace(o, isolated=isolated, others=others, controls=controls, sentences=[])


def _names(o: Overview) -> list[str]:
    return [s.chain for s in (*o.others, *o.isolated, *o.controls)]


def _stands(name: str, o: Overview) -> list[str]:
    """Say how the best chain with a method compares with the best one without it, isolated chains apart."""
    said = []
    for part, what in ((o.others, "chain"), (o.isolated, "isolated chain")):
        own, rest = ([s for s in part if contains(s.chain, name) is there] for there in (True, False))
        if not own:
            continue
        count = f"{len(own)} of {len(part)} {what}s that are ranked contain {name}"
        text = f"{count}. The best of them by {o.column.label} is {own[0].chain}, rank {_rank(own[0])}"
        said.append(text + (f"; the best without it {rest[0].chain}, rank {_rank(rest[0])}." if rest else "."))
    return said


def _rank(s: Standing) -> str:
    interval = f" ({rank_text(s.low)}–{rank_text(s.high)})" if s.low == s.low and s.low != s.high else ""
    return f"{rank_text(s.rank)}{interval}"


def _picture(name: str, stands: Sequence[Overview], pictures: Sequence[Picture]) -> Picture | None:
    """Return the first picture of the best chain with a method that has one."""
    by_chain: dict[str, Picture] = {}
    for p in pictures:
        by_chain.setdefault(p.chain, p)
    ranked = [c for o in stands for c in _names(o)]
    others = [c for c in by_chain if contains(c, name)]
    return next((by_chain[c] for c in (*ranked, *others) if c in by_chain), None)


def _endpoints(name: str, endpoints: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the part of the endpoints that is about the chains with a method; the truth stays for comparison."""
    found = []
    for e in endpoints:
        tables = [t for table in e["tables"] if (t := _table_with(name, table)) is not None]
        if tables:
            found.append({**e, "tables": tables})
    return found


def _table_with(name: str, table: EndpointTable) -> EndpointTable | None:
    own = [c for c in table.chains if contains(c, name)]
    return replace(table, chains=[c for c in table.chains if c == TRUTH or c in own]) if own else None
