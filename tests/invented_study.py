"""A study folder such as a run leaves behind, made of invented scores and pictures of a ball."""

import json

import numpy as np
import pandas as pd

from qsmbench.data.score_table import COLUMNS, FACTORS
from qsmbench.grid import Grid
from qsmbench.view.picture import draw
from qsmbench.view.volumes import save

CHAINS = ["truth", "zero", "romeo.vsharp.tkd", "romeo.pdf.tv"]
GROUP = "head_brain-3t"


def rows_of(chain, seed, shift=0.0):
    """Scores of a chain: the values of the controls are those that they must have."""
    level = {"truth": 0.0, "zero": 100.0}.get(chain, 40.0 + shift + seed)
    values = [("coverage", "", "study", 100.0 if chain in ("truth", "zero") else 90.0, "%", "")]
    for support in ("study", "common"):
        error = level if support == "study" else level * 0.9
        values.append(("nrmse", "", support, error, "%", ""))
        undefined = chain == "zero"
        reason = "the reconstruction is constant within the mask" if undefined else ""
        values.append(("correlation", "", support, np.nan if undefined else 1 - error / 200, "", reason))
        for region, true in (("caudate", 0.05), ("putamen", 0.09), ("pallidum", 0.13)):
            found = true * (1 - error / 100)
            values += [
                ("mean", region, support, found, "ppm", ""),
                ("bias", region, support, found - true, "ppm", ""),
            ]
    run = [("time", "", "run", 3.0 + shift, "s", ""), ("peak_memory", "", "run", 512.0, "MiB", "")]
    return [("chi", *v) for v in values] + [("", *v) for v in run]


def scores(chains, seeds=2, group=GROUP, failed=(), not_scored=()):
    """The tidy table.

    Args:
        chains: that have scores.
        seeds: number of replicates.
        group: that they belong to.
        failed: (chain, seed or None for all, reason); an empty chain stands for the dataset itself.
        not_scored: (chain, artifact, reason).
    """
    table = []
    for seed in range(seeds):
        factors = (f"{group}_seed-{seed}", group, "head", "", "", "", "brain-3t", seed, "")
        for i, chain in enumerate(chains):
            table += [(*factors, chain, *row) for row in rows_of(chain, seed, 5.0 * i)]
        for chain, only, reason in failed:
            if only in (None, seed):
                table.append((*factors, chain, "", "status", "", "run", np.nan, "", reason))
        for chain, artifact, reason in not_scored:
            table.append((*factors, chain, artifact, "not_scored", "", "run", np.nan, "", reason))
    return pd.DataFrame(table, columns=[*FACTORS, *COLUMNS[1:]])


def write_study(folder, table, pictures=True, config="study: quick\ndescription: A first look.\n"):
    """Write the table as a study folder, with a picture for each chain that has a score."""
    folder.mkdir(parents=True)
    table.to_parquet(folder / "scores.parquet")
    (folder / "config.yaml").write_text(config)
    (folder / "versions.json").write_text(json.dumps({"qsmbench": "0.1.0", "numpy": "2.4.6"}))
    if pictures:
        grid = Grid((12, 14, 10), (2.0, 2.0, 2.0))
        x, y, z = grid.axes()
        mask = x**2 + y**2 + z**2 < 81
        for dataset, chain in table.loc[table["value"].notna(), ["dataset", "chain"]].drop_duplicates().values:
            path = folder / dataset / "pictures" / f"{chain}.webp"
            save(draw(np.zeros(grid.shape), 0.01 * (x + y + z), mask, grid, "ppm", chain), path)
    return folder
