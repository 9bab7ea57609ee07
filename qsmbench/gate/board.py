"""A reference board: the scores of a standard suite, kept to compare another method with.

A board is a folder that reads as a study (`qsmbench report`, `qsmbench compare`) but has no maps. Its scans are
simulated again, on any machine, from its configuration; fingerprints say whether they are the same.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbench.analysis.comparison import compare_family, sentence
from qsmbench.analysis.rankings import ranking, subject_losses
from qsmbench.analysis.results import ORIGINS_FILE, PROTOCOLS_FILE, Study, read_study
from qsmbench.data.folders import make_folder, read_json, write_json
from qsmbench.data.score_table import CONTROLS, is_fed, is_isolated
from qsmbench.errors import QsmbenchError
from qsmbench.gate.baseline import fingerprint, same_scan

if TYPE_CHECKING:
    import pandas as pd

    from qsmbench.analysis.columns import Column

FINGERPRINTS_FILE = "fingerprints.json"
"""File of a board: fingerprint of each scan; see `baseline.fingerprint`."""

_COPIED = ("config.yaml", "versions.json", ORIGINS_FILE, PROTOCOLS_FILE)


def write_board(results: Path, board: Path) -> Study:
    """Write the board of a finished study: the scores on the study mask, and fingerprints of the scans.

    Args:
        results: folder of the study.
        board: folder to write.

    Returns:
        the board, as a study.

    Raises:
        QsmbenchError: `results` is not the folder of a study, has failures or no truth, or `board` cannot be written.
    """
    study = read_study(results)
    if len(study.unmade):
        failed = study.unmade.iloc[0]
        raise QsmbenchError(f"{results}: {failed['dataset']} failed ({failed['reason']}); a board needs all its scans")
    scans = {str(name): fingerprint(results / str(name) / "scan") for name in study.factors.index}
    gone = next((name for name, numbers in scans.items() if not numbers), None)
    if gone:
        raise QsmbenchError(f"{results / gone / 'scan'}: there is no scan; run the study again")
    make_folder(board)
    rows = study.scores[(study.scores["region"] == "") & (study.scores["support"] != "common")]
    factors = study.factors.drop(columns=[c for c in ("group", "seed") if c in study.factors])
    table = rows.astype({c: str for c in rows if c not in ("value", "seed")}).join(factors, on="dataset")
    # scores carry the noise of one scan in their third digit: float32 is enough, and half as large
    table.astype({"value": "float32"}).to_parquet(board / "scores.parquet", index=False, compression="zstd")
    for name in _COPIED:
        if (results / name).is_file():
            (board / name).write_text((results / name).read_text())
    rounded = {name: [float(f"{x:.6g}") for x in numbers] for name, numbers in scans.items()}
    write_json(board / FINGERPRINTS_FILE, rounded)
    return read_study(board)


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
    rivals = [c for c in scored if c not in CONTROLS and not is_fed(c) and is_isolated(c) is alone]
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
