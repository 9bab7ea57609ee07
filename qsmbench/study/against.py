"""A study beside a reference board: its scans must be those of the board."""

from __future__ import annotations

from pathlib import Path

from qsmbench.errors import QsmbenchError, suggest
from qsmbench.study.config import Study, parse
from qsmbench.typed_yaml import read_yaml


def check_same_scans(study: Study, board: Path) -> None:
    """Check, before anything is simulated, that the datasets of a study are defined as those of a board.

    Args:
        study: the study.
        board: folder of the board; see `gate.board`.

    Raises:
        QsmbenchError: it is not a board, or it lacks a dataset, or defines it differently.
    """
    config = board / "config.yaml"
    if not config.is_file():
        raise QsmbenchError(f"{board}: is not a reference board; it contains no config.yaml")
    known = {source.group: source.model_dump(mode="json") for source in parse(read_yaml(config), str(config)).sources}
    for source in study.sources:
        if source.group not in known:
            raise QsmbenchError(f"{source.group}: {board} has no such scan; {suggest(source.group, known)}")
        given = source.model_dump(mode="json")
        for key, value in known[source.group].items():
            if given.get(key) != value:
                own = f"{source.group}: {key} is {given.get(key)!r}"
                raise QsmbenchError(f"{own}, and {value!r} in {config}; use the datasets of that file")
