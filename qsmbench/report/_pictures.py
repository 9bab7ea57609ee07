"""The pictures that the page carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from qsmbench.analysis.results import Study
from qsmbench.run.specs import read_record
from qsmbench.view.page import data_uri


@dataclass(frozen=True)
class Picture:
    """A picture of a chain's result, as a data URI."""

    dataset: str
    chain: str
    uri: str


def pictures(study: Study, budget: int) -> tuple[list[Picture], int]:
    """Return the pictures that the page carries, and the number of those beyond the budget.

    Args:
        study: whose pictures.
        budget: bytes of pictures, as files.
    """
    found, spent, left_out = [], 0, 0
    for dataset in _first_seeds_first(study):
        for chain in dict.fromkeys(study.scores.loc[study.scores["dataset"] == dataset, "chain"]):
            path = study.picture(dataset, chain)
            if path is None:
                continue
            content = path.read_bytes()
            spent += len(content)
            if spent > budget:
                left_out += 1
            else:
                found.append(Picture(dataset, chain, data_uri(content, "webp")))
    return found, left_out


def not_drawn(study: Study) -> dict[str, str]:
    """Return the chains whose result is not drawn, on any dataset, with the reason."""
    found: dict[str, str] = {}
    for dataset in dict.fromkeys(study.scores["dataset"]):
        record = read_record(study.folder / dataset / "pictures.json")
        for part in ("not_drawn", "failed_chains"):
            found |= (record.details if record else {}).get(part, {})
    return found


def _first_seeds_first(study: Study) -> Iterator[str]:
    """Yield the datasets: the first replicates of all groups, then the second ones, and so on."""
    for replicates in zip_longest(*(study.datasets(g) for g in study.groups)):
        yield from (d for d in replicates if d is not None)
