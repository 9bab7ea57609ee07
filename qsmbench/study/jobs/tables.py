"""Job: the tables of all datasets and chains → `scores.parquet` and `scores.csv` of the study."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Run the job: the study's folder and, as JSON lists, its datasets and chains."""
    import json

    import pandas as pd

    parser = argparse.ArgumentParser(prog="tables")
    parser.add_argument("study", type=Path)
    parser.add_argument("datasets", type=json.loads)
    parser.add_argument("chains", type=json.loads)
    args = parser.parse_args(arguments)
    files = [args.study / d / "scores" / f"{c}.parquet" for d in args.datasets for c in args.chains]
    files += [args.study / d / "common.parquet" for d in args.datasets]
    tables = [t for f in files if not (t := pd.read_parquet(f)).empty]
    scores = pd.concat(tables, ignore_index=True)
    scores.to_parquet(args.study / "scores.parquet", index=False)
    scores.to_csv(args.study / "scores.csv", index=False)
