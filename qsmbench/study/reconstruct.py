"""One chain on one scan, outside a study: `qsmbench reconstruct` and `qsmbench score`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.suspicion import suspicions
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import (
    PARAMS_FILE,
    Params,
    further_orientations,
    make_folder,
    present,
    read,
    read_json,
    read_of,
    read_params,
)
from qsmbench.data.measured import Stated, is_measured
from qsmbench.data.plausible import check_b0, check_echo_times
from qsmbench.data.volumes import on_grid, open_volume, without_unit_axes
from qsmbench.errors import FailedError, QsmbenchError
from qsmbench.run import chains, registry
from qsmbench.run.chains import Limits, Places, Use
from qsmbench.run.host import StepHost
from qsmbench.run.specs import ScoreSpec, write_spec

if TYPE_CHECKING:
    import pandas as pd

CHAIN_FILE = "chain.json"


def reconstruct(
    chain: str,
    scan: Path,
    out: Path,
    *,
    truth: Path | None = None,
    stated: Stated | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    methods: Mapping[str, str] | None = None,
    limits: Limits,
    note: Callable[[str], object],
    hidden: Sequence[Path] = (),
) -> None:
    """Run every step of a chain; `out` receives the products of the last, `out`/steps all of them.

    Args:
        chain: method names joined by dots.
        scan: artifact folder of a scan, a BIDS dataset, or a folder with a table of echoes.
        out: folder to write.
        truth: folder of the truth, for chains that begin with `truth`.
        stated: what is stated of a measured scan; by default its first subject is taken.
        settings: by method name.
        methods: what a name in the chain stands for: another method or a path; see `registry.find`.
        limits: of each step.
        note: receives a line about each step.
        hidden: further folders that isolated code must not see.

    Raises:
        QsmbenchError: the chain does not fit, the scan is invalid, `out` holds volumes of others, or a step gave
            nothing.
    """
    given, named = settings or {}, methods or {}
    chains.check_named(chain, given, "--set {}.…")
    chains.check_named(chain, named, "--method {}=…")
    describe = partial(registry.describe, container=limits.container)
    steps = chains.steps(chain, lambda name: Use(named.get(name, name), given.get(name, {})), describe=describe)
    if truth is None and any(s.use.method in (chains.TRUTH, *chains.FED) for s in steps):
        raise QsmbenchError(f"chain {chain!r} uses the truth; name its folder with --truth")
    if truth is not None and not truth.is_dir():
        raise QsmbenchError(f"{truth}: no such folder; name the truth of a simulation, such as scan/truth")
    scan = _as_artifacts(scan, out, stated or Stated(), note)
    _check_scan(scan)
    make_folder(out)
    for old in [out / CHAIN_FILE, *(out / ARTIFACTS[name].file for name in present(out))]:
        old.unlink(missing_ok=True)
    places = _places(out / "steps", scan, truth, hidden)
    turned = chains.over_orientations(steps)
    further = further_orientations(scan)
    with StepHost() as host:
        for s in steps:
            record = host.run(s.spec(places, limits, orientations=further, each=s.chain in turned))
            if not record.ok:
                raise FailedError(f"{s.chain}: {record.status}: {record.reason}")
            note(f"{s.chain}: {record.seconds:.2f} s")
    for name in present(places.of(chain)):
        shutil.copyfile(places.of(chain) / ARTIFACTS[name].file, out / ARTIFACTS[name].file)
    spec = chains.score_spec(steps[-1], places, "")
    support, scan_folder = _relative(spec.support, out), _relative(spec.scan, out)
    field = _relative(spec.field, out) if spec.field else None
    made = replace(spec, result=".", truth=None, support=support, scan=scan_folder, field=field)
    write_spec(out / CHAIN_FILE, made)


def _check_out(out: Path, *, measured: bool) -> None:
    """Refuse to replace volumes that `reconstruct` has not written, such as those of a scan.

    Args:
        out: folder that old products are removed from.
        measured: whether the scan is written to `out`/scan, too.

    Raises:
        QsmbenchError: there are some.
    """
    if (out / CHAIN_FILE).is_file() or (out / "steps").is_dir():
        return
    for place in (out, out / "scan") if measured else (out,):
        for name in present(place)[:1]:
            raise QsmbenchError(
                f"{place / ARTIFACTS[name].file}: was not written by qsmbench reconstruct and would be replaced; name "
                "another folder"
            )


def _relative(place: str, out: Path) -> str:
    """Return a folder within `out` relative to it, so that `out` may be moved; other folders unchanged."""
    if not Path(place).is_relative_to(out.resolve()):
        return place
    return str(Path(place).relative_to(out.resolve()))


def _places(steps: Path, scan: Path, truth: Path | None, further: Sequence[Path]) -> Places:
    """Return the absolute paths of the artifacts of all steps, and what is missing in the scan and the truth."""
    providers = {chains.SCAN: scan, **({chains.TRUTH_FOLDER: truth} if truth else {})}
    absent = {(p, name) for p, f in providers.items() for name in ARTIFACTS if name not in present(f)}
    hidden = [steps.parent, scan, scan.resolve().parent / "truth", *([truth] if truth else []), *further]
    return Places(
        steps.resolve(),
        scan.resolve(),
        truth.resolve() if truth else None,
        frozenset(absent),
        tuple(folder.resolve() for folder in hidden),
    )


def _as_artifacts(scan: Path, out: Path, stated: Stated, note: Callable[[str], object]) -> Path:
    if not scan.is_dir():
        raise QsmbenchError(
            f"{scan}: no such folder; a scan is a folder of artifacts, a BIDS dataset or a folder with echoes.tsv"
        )
    measured = is_measured(scan)
    _check_out(out, measured=measured)
    if not measured:
        check_unstated(scan, stated)
        return scan
    from qsmbench.study.jobs.measure import convert

    for line in convert(scan, out / "scan", stated):
        note(line)
    return out / "scan"


def check_unstated(scan: Path, stated: Stated) -> None:
    """Refuse what is stated of a folder of artifacts: it is for measured scans.

    Raises:
        QsmbenchError: something is stated.
    """
    for option, value in asdict(stated).items():
        if value is not None and value != getattr(Stated(), option):
            raise QsmbenchError(f"{scan}: is not a BIDS dataset, nor a folder with echoes.tsv; {option} is for these")


def _check_scan(scan: Path) -> None:
    """Read all that lies in a scan folder, so that an error is reported before anything runs."""
    if not (scan / PARAMS_FILE).is_file():
        inside = [place for place in sorted(scan.iterdir()) if (place / PARAMS_FILE).is_file() or is_measured(place)]
        first = scan / "scan" if scan / "scan" in inside else next(iter(inside), None)
        if first:
            raise QsmbenchError(f"{scan}: is not a scan, but holds one; name {first}")
    params = read_params(scan)
    check_echo_times(params.te, str(scan / PARAMS_FILE))
    check_b0(params.b0, str(scan / PARAMS_FILE))
    for name in present(scan):
        read_of(scan, name, params)
    if "mask" not in present(scan):
        raise QsmbenchError(f"{scan / ARTIFACTS['mask'].file}: no such file")


def scores(out: Path, truth: Path, without: Path | None = None) -> pd.DataFrame:
    """Score a reconstruction on the true mask.

    Args:
        out: what `reconstruct` wrote, or any folder with maps of which the truth is known, such as `chimap.nii.gz`:
            there, a `mask.nii.gz` says which voxels were reconstructed, or else not being 0 does.
        truth: the truth folder of a simulation.
        without: what `reconstruct` wrote for the same scan without planted sources, which is subtracted; None: nothing.

    Returns:
        rows of `metrics.score`, with a column `artifact`.

    Raises:
        QsmbenchError: a folder is not what it should be, or its volumes lie on another grid.
    """
    import pandas as pd

    from qsmbench.study.scoring import Scan

    if not out.is_dir():
        raise QsmbenchError(f"{out}: no such folder; name what `qsmbench reconstruct` wrote, or a folder with maps")
    if not truth.is_dir():
        raise QsmbenchError(f"{truth}: no such folder; name the truth of a simulation, such as scan/truth")
    made_here = (out / CHAIN_FILE).is_file()
    spec = _made_here(out, truth) if made_here else _foreign(out, truth)
    if without is not None:
        if not without.is_dir():
            raise QsmbenchError(
                f"{without}: no such folder; name what `qsmbench reconstruct` wrote without the sources"
            )
        spec = replace(spec, without=str(without))
    scan, tables = Scan(spec), []
    for artifact in spec.artifacts:
        if made_here or "mask" in present(out):
            given = scan.reconstruction(spec, artifact)
        else:
            given = {"estimate": _unmasked(out, artifact, scan.params), "field": scan.field(spec)}
            given["support"] = scan.support(spec) & (given["estimate"] != 0)
        tables.append(rows(scan.reference(artifact), given, str(out), scan.params))
    return pd.concat(tables, ignore_index=True)


def _unmasked(out: Path, artifact: str, params: Params) -> np.ndarray:
    """Read a map that no mask lies beside: where it is not finite, it was not reconstructed, which 0 says."""
    file = out / ARTIFACTS[artifact].file
    values, affine = open_volume(file, finite=False)
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return read(out, artifact, params.grid)
    count = np.count_nonzero(wrong)
    logging.getLogger("qsmbench").warning(f"{file}: {count} voxels are NaN or infinite: taken as not reconstructed")
    values, note = on_grid(file, np.where(wrong, 0, without_unit_axes(values, 3)), affine, params.grid)
    if note:
        logging.getLogger("qsmbench").warning(note)
    return values


def rows(
    reference: dict[str, Any], reconstruction: dict[str, Any], where: str, params: Params | None = None
) -> pd.DataFrame:
    """Score one map on the study mask alone; a note is logged if it looks like something else (`suspicions`).

    Args:
        reference: truth, labels, regions and study mask of its artifact, as keywords of `metrics.Reference`.
        reconstruction: the map, its support and its field, as keywords of `metrics.Reference.rows`.
        where: begins messages.
        params: of the scan, for what the map may look like; without it, no note is logged.

    Returns:
        rows of `metrics.score`, with a column `artifact`.

    Raises:
        QsmbenchError: the artifact is not scored, or the truth lacks it.
    """
    from qsmbench.metrics import Reference, as_table, not_scored

    artifact = reference["artifact"]
    if reason := not_scored(artifact):
        raise QsmbenchError(f"{where}: {artifact} is not scored: {reason}")
    if reference["truth"] is None:
        raise QsmbenchError(f"{where}: {artifact} cannot be scored; the truth holds no {artifact}")
    if params is not None:
        estimate, study = reconstruction["estimate"], reference["study_mask"]
        seen = {"artifact": artifact, "b0": params.b0, "te": params.te}
        for suspicion in suspicions(estimate, reference["truth"], study, **seen):
            logging.getLogger("qsmbench").warning(f"{where}: {artifact} {suspicion.text}")
    return as_table(Reference(**reference).rows(**reconstruction, supports=("study",))).assign(artifact=artifact)


def _made_here(out: Path, truth: Path) -> ScoreSpec:
    """Return the maps that `reconstruct` wrote to `out`, with the masks and fields of its steps."""
    spec = ScoreSpec.from_json(read_json(out / CHAIN_FILE), str(out / CHAIN_FILE))
    support, scan, field = str(out / spec.support), str(out / spec.scan), str(out / spec.field) if spec.field else None
    return replace(spec, result=str(out), support=support, scan=scan, field=field, truth=str(truth))


def _foreign(out: Path, truth: Path) -> ScoreSpec:
    """Return maps that another program wrote."""
    sources, others = ("chi", "chi_para", "chi_dia"), ("local_field", "total_field", "r2star")
    here = [name for name in (*sources, *others) if (out / ARTIFACTS[name].file).is_file()]
    if not here:
        names = ", ".join(ARTIFACTS[name].file for name in (*sources, *others))
        raise QsmbenchError(f"{out}: holds neither {CHAIN_FILE} nor a map to score; choose from {names}")
    scored = [name for name in here if name in sources] or here[:1]
    found = present(out)
    return ScoreSpec(
        dataset="",
        chain="",
        artifacts=scored,
        result=str(out),
        support=str(out if "mask" in found else truth),
        field=str(out) if "local_field" in found else None,
        scan=str(truth),
        truth=str(truth),
    )
