"""The volumes of a study that the page shows: scripts beside it that it loads on demand, or elements of it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from qsmbench import view
from qsmbench.analysis.results import Study
from qsmbench.analysis.summary import Table
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import is_isolated
from qsmbench.view.packed import LEVELS, OUTSIDE, VOLUMES, packed_chains, packed_regions, packed_truth
from qsmbench.view.volumes import COLOURS

NIIVUE = "niivue-0.69.0.umd.js"
"""Script of NiiVue, which is unchanged."""

_VIEW = Path(view.__file__).parent

CALL = "qsmbenchVolume"
"""Function of the page that the script of a volume calls."""


@dataclass(frozen=True)
class VolumeFile:
    """A packed volume of a dataset.

    Attributes:
        dataset: its name.
        artifact: its kind; empty for the regions.
        chain: that computed it; empty for the truth and the regions.
        path: of the file.
    """

    dataset: str
    artifact: str
    chain: str
    path: Path

    @property
    def name(self) -> str:
        """Unique name in a report."""
        parts = (self.dataset, self.artifact or "regions", self.chain or ("truth" if self.artifact else ""))
        return ",".join(quote(p, safe="") for p in parts if p)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size


@dataclass
class Shown:
    """The volumes of a report.

    Attributes:
        addresses: of each volume: a script relative to the page, or `#` and the id of an element.
        elements: text of the elements by id.
        left_out: number of chains left out for lack of space, by dataset.
        size: of all volumes in bytes.
        niivue: address of NiiVue; empty without it, as in a page to mail, where it would take the room of volumes.
    """

    addresses: dict[VolumeFile, str] = field(default_factory=dict)
    elements: dict[str, Markup] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    size: int = 0
    niivue: str = ""


def volumes_shown(study: Study, tables: Sequence[Table], out: Path | None, budget: int) -> Shown:
    """Write the volumes beside the page, or embed them.

    The best chains of every group come first; a chain for which no room is left is counted.

    Args:
        study: the study.
        tables: its score tables, whose order is that of the chains.
        out: folder of the report; None: embed them.
        budget: size of all volumes in bytes.
    """
    shown = Shown()
    for wanted in _in_order(study, tables):
        new = [f for f in wanted if f not in shown.addresses]
        size = sum(f.size for f in new)
        if shown.size + size > budget:
            shown.left_out[wanted[0].dataset] += 1
            continue
        shown.size += size
        for f in new:
            shown.addresses[f] = _embed(f, shown) if out is None else _copy(f, out)
    if out is not None and shown.addresses:
        for file in (_VIEW / "niivue").iterdir():  # with its licence
            shutil.copyfile(file, out / VOLUMES / file.name)
        shown.niivue = f"{VOLUMES}/{NIIVUE}"
    return shown


def viewer(shown: Shown, datasets: Sequence[str]) -> dict[str, Any]:
    """Return what the template of the viewer needs for some datasets; empty if they have no volume."""
    found = {f: at for f, at in shown.addresses.items() if f.dataset in datasets}
    by_dataset: dict[str, dict[str, Any]] = {}
    for f, at in found.items():
        its = by_dataset.setdefault(f.dataset, {"chains": {}, "truth": {}, "regions": None})
        if f.chain:
            its["chains"][f.chain] = {"artifact": f.artifact, "at": at}
        elif f.artifact:
            its["truth"][f.artifact] = at
        else:
            its["regions"] = at
    if not by_dataset:
        return {}
    kinds = {f.artifact for f in found if f.artifact}
    scales = {a: {"name": _symbol(a), "unit": ARTIFACTS[a].unit, **_ends(a)} for a in ARTIFACTS if a in kinds}
    manifest = {
        "datasets": by_dataset,
        "scales": scales,
        "steps": {a: scales[a]["error"] / LEVELS for a in scales},
        "outside": OUTSIDE,
        "colours": COLOURS,
        "error_colours": "error",
        "niivue": shown.niivue,
    }
    ids = [at[1:] for at in found.values() if at.startswith("#")]
    return {
        "manifest": _as_script(manifest),
        "elements": {i: shown.elements[i] for i in ids},
        "left_out": {d: n for d, n in shown.left_out.items() if d in datasets},
        "rounded": {a: f"{s['error'] / LEVELS:g} {s['unit']}".strip() for a, s in scales.items()},
        "beside": not ids,
    }


def viewer_script() -> Markup:
    """Return the JavaScript of the viewer."""
    return Markup("\n".join((_VIEW / name).read_text() for name in ("webgl.js", "viewer.js")))


def _in_order(study: Study, tables: Sequence[Table]) -> Iterator[list[VolumeFile]]:
    """Yield each chain's volume with the truth and the regions that belong to it: the best of every group first."""
    ranks: dict[str, list[str]] = {}
    for table in tables:
        ranks.setdefault(table.group, []).extend(r.chain for r in table.methods)
    lists = [_of_dataset(study.folder / d, ranks.get(g, [])) for g in study.groups for d in study.datasets(g)]
    for row in zip_longest(*lists):
        yield from (files for files in row if files is not None)


def _of_dataset(folder: Path, ranks: Sequence[str]) -> list[list[VolumeFile]]:
    place, dataset = folder / VOLUMES, folder.name
    found: list[VolumeFile] = []
    for artifact, row in ARTIFACTS.items():
        if row.scale is not None:
            files = packed_chains(place, artifact).glob("*.json")
            found += [VolumeFile(dataset, artifact, f.stem, f) for f in files]
    order = {chain: i for i, chain in reversed(list(enumerate(ranks)))}
    found.sort(key=lambda f: (f.artifact != "chi", is_isolated(f.chain), order.get(f.chain, len(order)), f.chain))
    regions = [VolumeFile(dataset, "", "", f) for f in [packed_regions(place)] if f.is_file()]
    truths = {a: f for a in {f.artifact for f in found} if (f := packed_truth(place, a)).is_file()}
    return [
        [f, *(VolumeFile(dataset, f.artifact, "", t) for t in [truths.get(f.artifact)] if t), *regions] for f in found
    ]


def _copy(f: VolumeFile, out: Path) -> str:
    """Write the script of a volume; return its address."""
    (out / VOLUMES).mkdir(exist_ok=True)
    script = out / VOLUMES / f"{f.name}.js"
    script.write_text(f"{CALL}({f.path.read_text()});\n")
    return f"{VOLUMES}/{quote(script.name)}"


def _embed(f: VolumeFile, shown: Shown) -> str:
    name = f"volume-{len(shown.elements)}"
    shown.elements[name] = Markup(f.path.read_text().replace("<", "\\u003c"))
    return f"#{name}"


def _as_script(manifest: dict[str, Any]) -> Markup:
    """Return JSON for an element of type application/json."""
    return Markup(json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def _symbol(artifact: str) -> str:
    return {"chi": "χ"}.get(artifact, artifact.replace("_", " "))


def _ends(artifact: str) -> dict[str, Any]:
    scale = ARTIFACTS[artifact].scale
    assert scale is not None
    return {"values": list(scale.values), "error": scale.error}
