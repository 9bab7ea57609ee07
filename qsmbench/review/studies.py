"""Experiments as studies: which scans and chains a claim needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qsmbench.review.claims import Arm, Experiment, Review, Scale
from qsmbench.study.config import Study, parse


def study_of(review: Review, name: str, scale: str, results: Path) -> Study:
    """Return the study of an experiment.

    Args:
        review: the claims.
        name: of the experiment.
        scale: quick or full.
        results: folder in which each study has a folder.

    Raises:
        QsmbenchError: the experiment is not a valid study.
    """
    experiment = review.experiments[name]
    size = _scale(review.scales[scale], getattr(experiment, scale))  # type: ignore[index]
    datasets = [_dataset(experiment, i, arm, size) for i, arm in enumerate(experiment.arms)]
    content = {
        "study": name,
        "description": f"arms: {', '.join(experiment.arms)}",
        "datasets": datasets,
        "chains": review.chains(name),
        "methods": experiment.methods,
        "results": str(results),
    }
    return parse(content, f"experiment {name}")


def _scale(base: Scale, own: Scale) -> Scale:
    return base.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _dataset(experiment: Experiment, index: int, name: str, size: Scale) -> dict[str, Any]:
    arm: Arm = experiment.arms[name]
    keys = {**experiment.set, **size.set, **arm.set}
    if size.voxel_size is not None:
        keys = {"voxel_size": size.voxel_size, **keys}
    if arm.case is not None:
        keys["case"] = arm.case
    count = size.subjects or 1
    found: dict[str, Any] = {
        "phantom": arm.phantom or experiment.phantom,
        "protocol": arm.protocol or experiment.protocol,
        "set": keys,
        "set_protocol": {**experiment.set_protocol, **size.set_protocol, **arm.set_protocol},
        "name": name,
    }
    if arm.orientation is not None:
        found["orientation"] = arm.orientation
    if experiment.people == "none":
        return {**found, "seeds": list(range(count))}
    first = 1 + (index * count if experiment.people == "other" else 0)
    return {**found, "over": {"subject": list(range(first, first + count))}}
