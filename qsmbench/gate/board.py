"""A reference board: the scores of a standard suite, kept to compare another method with.

A board is a folder that reads as a study (`qsmbench report`, `qsmbench compare`) but has no maps. Its scans are
simulated again, on any machine, from its configuration; fingerprints say whether they are the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from qsmbench.analysis.comparison import compare_family, sentence
from qsmbench.analysis.rankings import competing, ranking, subject_losses
from qsmbench.analysis.results import ORIGINS_FILE, PROTOCOLS_FILE, Study, read_study
from qsmbench.data.folders import make_folder, read_json, write_json
from qsmbench.data.score_table import RUN_ROWS, is_isolated
from qsmbench.errors import QsmbenchError
from qsmbench.gate.baseline import fingerprint, same_scan
from qsmbench.gate.margins import read_margins
from qsmbench.run.specs import RUN_FILE, prefixes, read_record
from qsmbench.typed_yaml import read_yaml

if TYPE_CHECKING:
    import pandas as pd

    from qsmbench.analysis.columns import Column

FINGERPRINTS_FILE = "fingerprints.json"
"""File of a board: fingerprint of each scan; see `baseline.fingerprint`."""

RUNS_FILE = "runs.json"
"""File of a board: for each run that its rows are from, the chains with the digest of the code of their steps, the
digest of the code that scored them (or of later code that gives the same scores), and the versions of the packages."""

_COPIED = (ORIGINS_FILE, PROTOCOLS_FILE)
_SCORE = ["dataset", "chain", "artifact", "metric", "support"]
"""Columns that name a score of a board."""

_LEAST = 1e-3
"""Score below which differences are relative to this number, in the score's unit; assumed."""

_FREE = ("chains", "attribution", "description", "results")
"""Keys of the configuration in which a run of some chains may differ from the board."""


def write_board(results: Path, board: Path) -> tuple[Study, list[str]]:
    """Write the board of a finished study, or replace the rows of its chains in a board that exists.

    Rows of other chains stay. Each chain's rows are of one run over all scans, whose code and versions `RUNS_FILE`
    names. All rows were scored by the same code, or by code that gives the same scores: if the code that scores has
    changed, the study must have a chain of each kind of map whose scores are those of the board but for rounding.

    Args:
        results: folder of the study.
        board: folder to write.

    Returns:
        the board, as a study, and the chains whose rows are new.

    Raises:
        QsmbenchError: `results` is not the folder of a study, has failures or no truth, or is of other scans, settings
            or scores by the code of scoring than the board; or `board` cannot be written.
    """
    study = read_study(results)
    if len(study.unmade):
        failed = study.unmade.iloc[0]
        raise QsmbenchError(f"{results}: {failed['dataset']} failed ({failed['reason']}); a board needs all its scans")
    scans = {str(name): fingerprint(results / str(name) / "scan") for name in study.factors.index}
    gone = next((name for name, numbers in scans.items() if not numbers), None)
    if gone:
        raise QsmbenchError(f"{results / gone / 'scan'}: there is no scan; run the study again")
    run = _run_of(study)
    runs, table, config, versions = [run], _rows(study), read_yaml(results / "config.yaml"), study.versions
    if (board / FINGERPRINTS_FILE).is_file():
        runs, table, config = _merged(board, study, scans, run, config)
        versions = _all_versions(runs)
    make_folder(board)
    table.to_parquet(board / "scores.parquet", index=False, compression="zstd")
    config.pop("results", None)  # a path of the machine that it was made on
    (board / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    write_json(board / "versions.json", versions)
    for name in (n for n in _COPIED if (results / n).is_file()):
        _write_lines(board / name, read_json(results / name))
    rounded = {name: [float(f"{x:.6g}") for x in numbers] for name, numbers in scans.items()}
    _write_lines(board / FINGERPRINTS_FILE, rounded)
    write_json(board / RUNS_FILE, {"runs": runs})
    return read_study(board), study.chains


def _write_lines(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON with a line for each key, so that a difference of two versions names the scan."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n")


def _rows(study: Study) -> pd.DataFrame:
    """Return the scores on the study mask, with the factors of each scan."""
    rows = study.scores[(study.scores["region"] == "") & (study.scores["support"] != "common")]
    factors = study.factors.drop(columns=[c for c in ("group", "seed") if c in study.factors])
    table = rows.astype({c: str for c in rows if c not in ("value", "seed")}).join(factors, on="dataset")
    # scores carry the noise of one scan in their third digit: float32 is enough, and half as large
    return table.astype({"value": "float32"})


def _run_of(study: Study) -> dict[str, Any]:
    """Return what the rows of a study were computed by: an item of `RUNS_FILE`.

    Raises:
        QsmbenchError: a record is missing, or the scans of a chain were computed by different code.
    """
    datasets = list(map(str, study.factors.index))
    steps, scoring = {}, set()
    for chain in study.chains:
        found = {_code(study.folder / d / "chains" / p / RUN_FILE for p in prefixes(chain)) for d in datasets}
        if len(found) != 1:
            raise QsmbenchError(f"{study.folder}: {chain} ran with different code on its scans; run the study again")
        (steps[chain],) = found
        scoring |= {_code([study.folder / d / "scores" / f"{chain}.json"]) for d in datasets}
    if len(scoring) != 1:
        raise QsmbenchError(f"{study.folder}: its chains were scored by different code; run the study again")
    return {"chains": steps, "scoring": scoring.pop(), "versions": study.versions}


def _code(records: Iterable[Path]) -> str:
    """Return the digest of some jobs; see `digest_of`."""
    jobs = []
    for path in records:
        record = read_record(path)
        if record is None:
            raise QsmbenchError(f"{path}: there is no such record; run the study again")
        made = record.made_from
        jobs.append((made.get("code"), made.get("settings") if path.name == RUN_FILE else None))
    return digest_of(jobs)


def digest_of(jobs: Iterable[tuple[Any, Any]]) -> str:
    """Return a digest of jobs, each given by the digest of its code and its settings."""
    text = "".join(json.dumps(job, sort_keys=True) for job in jobs)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _merged(
    board: Path, study: Study, scans: dict[str, list[float]], run: dict[str, Any], config: dict[str, Any]
) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, Any]]:
    """Return the runs, the rows and the configuration of a board with the chains of a study in place of its own."""
    import pandas as pd

    known = read_json(board / FINGERPRINTS_FILE)
    for name in {**known, **scans}:
        if name not in scans:
            raise QsmbenchError(f"{study.folder}: has no scan {name}, which {board} has; run all its datasets")
        if not same_scan(scans[name], known.get(name)):
            raise QsmbenchError(f"{name}: is not a scan of {board}; make a board of its own, or remove {board} first")
    before = read_yaml(board / "config.yaml")
    for key in (k for k in {**before, **config} if k not in _FREE and before.get(k) != config.get(k)):
        raise QsmbenchError(f"{study.folder}: {key} is {config.get(key)!r}, and {before.get(key)!r} in {board}")
    if not (board / RUNS_FILE).is_file():
        raise QsmbenchError(f"{board}: has no {RUNS_FILE}, which says what its rows are from; run all its chains")
    kept = [_without(r, study.chains) for r in read_json(board / RUNS_FILE)["runs"]]
    kept = [r for r in kept if r["chains"]]
    theirs, ours = pd.read_parquet(board / "scores.parquet"), _rows(study)
    others = [c for r in kept if r["scoring"] != run["scoring"] for c in r["chains"]]
    _require_same_scoring(board, theirs, ours, others)
    kept = [{**r, "scoring": run["scoring"]} for r in kept]
    chains = list(dict.fromkeys([*before["chains"], *study.chains]))
    table = pd.concat([theirs[~theirs["chain"].isin(study.chains)], ours[list(theirs)]], ignore_index=True)
    place = {name: i for i, name in enumerate(known)}, {name: i for i, name in enumerate(chains)}
    order = table["dataset"].map(place[0]) * (len(chains) + 1) + table["chain"].map(place[1]).fillna(len(chains))
    table = table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)
    return [*kept, run], table, {**before, "chains": chains}


def _require_same_scoring(board: Path, theirs: pd.DataFrame, ours: pd.DataFrame, chains: Sequence[str]) -> None:
    """Refuse to keep rows of `chains`, which other code scored, unless a chain of each artifact has the same scores.

    Raises:
        QsmbenchError: an artifact has no chain whose scores on the board and in the study are equal but for rounding.
    """
    rounding = read_margins().rounding.value
    for artifact, rows in theirs[theirs["chain"].isin(chains) & (theirs["artifact"] != "")].groupby("artifact"):
        known, again = (t[(t["artifact"] == artifact) & ~t["metric"].isin(RUN_ROWS)] for t in (theirs, ours))
        for chain in sorted({*known["chain"]} & {*again["chain"]}):
            old, new = (t[t["chain"] == chain] for t in (known, again))
            if len(new) == len(old) and differences(new, old)["difference"].max() <= rounding:
                break
        else:
            raise QsmbenchError(
                f"{board}: {rows['chain'].iloc[0]} was scored by other code; run it too, or another chain of "
                f"{artifact} whose method is unchanged: if its scores are the same, the other chains' rows are kept"
            )


def differences(new: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Return scores beside those of a board (`value_kept`), with their relative `difference`.

    It is infinite for a score that the board lacks, and for one that is missing on one side only.
    """
    tables = [t.astype(dict.fromkeys(_SCORE, str)) for t in (new, kept)]
    pairs = tables[0].merge(tables[1], on=_SCORE, suffixes=("", "_kept"), how="left", indicator="on_board")
    scale = np.maximum(pairs["value_kept"].abs(), _LEAST)
    relative: pd.Series = (pairs["value"] - pairs["value_kept"]).abs() / scale
    neither = pairs["value"].isna() & pairs["value_kept"].isna() & (pairs["on_board"] == "both")
    difference = np.where(neither, 0.0, np.where(relative.isna(), np.inf, relative))
    return pairs.assign(difference=difference).drop(columns="on_board")


def _without(run: dict[str, Any], chains: Sequence[str]) -> dict[str, Any]:
    return {**run, "chains": {c: code for c, code in run["chains"].items() if c not in chains}}


def _all_versions(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the versions of each package over some runs, joined by commas."""
    names = dict.fromkeys(name for r in runs for name in r["versions"])
    return {n: ", ".join(dict.fromkeys(r["versions"][n] for r in runs if n in r["versions"])) for n in names}


def read_board(board: Path) -> tuple[Study, dict[str, list[float]]]:
    """Read a board and the fingerprints of its scans.

    Raises:
        QsmbenchError: it is not a board.
    """
    if not (board / FINGERPRINTS_FILE).is_file():
        raise QsmbenchError(f"{board}: is not a reference board; it contains no {FINGERPRINTS_FILE}")
    return read_study(board), read_json(board / FINGERPRINTS_FILE)


def joined(own: Study, board: Path) -> Study:
    """Return a study with the chains of a board beside its own, on the scans of the study.

    Args:
        own: the study.
        board: folder of the board.

    Raises:
        QsmbenchError: it is not a board, or a scan is not the scan of the board.
    """
    import pandas as pd

    reference, known = read_board(board)
    made, here = (s.versions.get("qsmbench", "unknown") for s in (reference, own))
    if made != here:
        logging.getLogger("qsmbench").info("%s was made by version %s; this is version %s", board, made, here)
    datasets = list(map(str, own.factors.index))
    for name in datasets:
        if name not in known:
            raise QsmbenchError(f"{name}: {board} has no such scan; run the datasets of its config.yaml")
        if len(own.unmade) and name in set(own.unmade["dataset"]):
            continue
        if not same_scan(fingerprint(own.folder / name / "scan"), known[name]):
            raise QsmbenchError(f"{name}: is not the scan of {board}, though its name is the same; run its config.yaml")
    theirs = reference.scores[reference.scores["dataset"].isin(datasets)]
    theirs = theirs[~theirs["chain"].isin(own.chains)]
    scores = pd.concat([own.scores.astype(_text(own.scores)), theirs.astype(_text(theirs))], ignore_index=True)
    scores = scores.astype(dict.fromkeys(_text(scores), "category"))
    return dataclasses.replace(own, scores=scores, origins={**reference.origins, **own.origins})


def _text(table: pd.DataFrame) -> dict[str, type]:
    return {str(c): str for c in table if c not in ("value", "seed")}


def standing(study: Study, chain: str, column: Column, artifact: str = "chi") -> list[str]:
    """Return sentences on the place of a chain among those that compete with it, by one metric.

    Args:
        study: with the chains of a board; see `joined`.
        chain: a chain of the study.
        column: the metric.
        artifact: the scored artifact.
    """
    sample = study.sample(column, artifact)
    alone = is_isolated(chain)
    scored = [c for c in sample.values.columns if sample.values[c].notna().any()]
    rivals = competing(scored, isolated=alone)
    if chain not in rivals:
        return [f"{chain}: has no {column.label} of {artifact} to compare."]
    own = sample.of(rivals)
    own = own.where(own.values.notna().any(axis=1).to_numpy())
    found = ranking(subject_losses(own, rivals), rivals)
    place = found.chains.index(chain)
    interval = f" (95 % interval {found.low[place]:.0f} to {found.high[place]:.0f})" if found.subjects > 1 else ""
    rank = f"{found.rank[place]:g}{interval} of {len(rivals)} {'isolated ' if alone else ''}chains"
    over = f"over {found.subjects} subject{'s' if found.subjects > 1 else ''}"
    said = [f"{chain} has rank {rank} by {column.label}, {over}."]
    others = [c for c in found.chains if c != chain]
    if others:
        # the rival is the best of the others, which is known from the scores: all of them count as compared
        (against,) = compare_family(own, [(chain, others[0])], family=len(others))
        said.append(sentence(against))
    return said
