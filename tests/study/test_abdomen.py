"""The quick study of the abdomen runs with one command, and finds what its phantom contains."""

import subprocess
import sys

import pandas as pd
import pytest

from qsmbench.paths import data_dir
from qsmbench.study import config

CONFIGS = data_dir() / "configs"
CONTROL, IRON = (f"liver-iron-{case}_abdomen-3t_seed-0" for case in ("control", "lic-7"))


@pytest.mark.parametrize("name", ["abdomen", "abdomen-quick"])
def test_the_studies_of_the_abdomen_are_valid(name):
    study = config.load(CONFIGS / f"{name}.yaml")
    assert study.study == name
    assert {"truth", "water_fat", "water_fat.lic_r2star"} <= set(study.chains)


@pytest.mark.slow
def test_the_quick_study_measures_fat_iron_and_susceptibility(tmp_path):
    command = ["run", str(CONFIGS / "abdomen-quick.yaml"), "--results", str(tmp_path), "--cores", "2"]
    subprocess.run([sys.executable, "-m", "qsmbench.cli", *command], check=True, timeout=1800)
    scores = pd.read_parquet(tmp_path / "abdomen-quick" / "scores.parquet")
    assert (tmp_path / "abdomen-quick" / "report" / "index.html").is_file()
    scores = scores[scores["support"].isin(["study"])]

    def value(dataset, chain, metric, artifact, region=""):
        at = {"dataset": dataset, "chain": chain, "metric": metric, "artifact": artifact, "region": region}
        row = scores[(scores[list(at)] == pd.Series(at)).all(axis=1)]
        return float(row["value"].iloc[0])

    organs = {"liver", "spleen", "pancreas", "kidney_cortex", "kidney_medulla", "aorta", "vena_cava", "muscle"}
    assert organs <= set(scores["region"])
    for dataset in (CONTROL, IRON):
        assert abs(value(dataset, "water_fat", "bias", "signal_fat_fraction", "liver")) < 0.02
        assert abs(value(dataset, "water_fat.lic_r2star", "lic_bias", "lic")) < 0.5
    chain = "water_fat.erode.after_sharma"
    found, true = (
        value(IRON, c, "mean", "chi", "liver") - value(IRON, c, "mean", "chi", "muscle") for c in (chain, "truth")
    )
    assert 0.7 < found / true < 1.2
