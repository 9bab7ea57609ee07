"""How the tables and the report of a study scale: seconds, peak memory and size, each job in a process of its own.

The size of the page to mail, and with a Chromium the time from opening a page to its first table, are measured too.

    python benchmarks/report.py [--sizes 10x10 20x50 100x20 20x100] [--seeds 5] [--keep FOLDER]

A size is datasets × chains. The study is invented, in the layout of a real one: a record of every job; for each pair a
table with all metrics of χ, on the study mask and by every region of the head, and a picture; for each dataset a table
on the common voxels. Datasets come in groups of `--seeds` replicates. The jobs are run as in a study, by
`python -m qsmbench.study.jobs`.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from usage import Usage, usage

from qsmbench import metrics
from qsmbench.data.folders import REGIONS_FILE, write_json, write_regions
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, write_provenance
from qsmbench.data.score_table import COLUMNS, CONTROLS, FACTORS
from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.report import build
from qsmbench.run.specs import RUN_FILE, Job, Record, ReportSpec, TablesSpec, prefixes, write_spec
from qsmbench.view.picture import draw
from qsmbench.view.volumes import save

STEPS = ("romeo.fit.vsharp.tv", "romeo.fit.pdf.tkd", "truth.noisy.l2", "truth.tkd", "laplacian.fit.vsharp.medi")
CHROMIUM = Path("/usr/bin/chromium")
MADE_FROM = {"inputs": {f"input {i}": f"{i:064x}" for i in range(8)}, "versions": {"numpy": "2.4.6", "scipy": "1.17.1"}}


def chain_names(count):
    """The controls, and variants of a few chains."""
    return [*CONTROLS, *(f"{STEPS[i % len(STEPS)]}-{i // len(STEPS)}" for i in range(count - len(CONTROLS)))]


def rows_of_scores(regions, support):
    """The rows that `metrics.score` makes of χ, with invented values."""
    rows = []
    for m in map(metrics.find, metrics.names()):
        if m.can_score("chi") and (support == "study" or "mask" in m.consumes):
            for place in [r[1] for r in regions] if m.name in ("mean", "bias") else [""]:
                gone = place.endswith("_air")
                value = np.nan if gone else 50.0 if m.unit_of("chi") == "%" else 0.05
                reason = "the region has no voxel in the mask" if gone else ""
                rows.append(("", "", "chi", m.name, place, support, value, m.unit_of("chi"), reason))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def scores(rows, dataset, chain, rng):
    """The scores of a chain on a dataset."""
    values = rows["value"] * (1 + 0.2 * rng.standard_normal(len(rows)))
    return rows.assign(dataset=dataset, chain=chain, value=values)


def record(name, **more):
    """The record of a job that went well."""
    return Record(name, "ok", products={"product": "0" * 64}, made_from=MADE_FROM, seconds=1.5, **more)


def write_truth(folder, head):
    """What the report reads of a group's truth."""
    folder.mkdir(parents=True)
    write_regions(folder / REGIONS_FILE, head.regions)
    write_provenance(folder / PROVENANCE_FILE, head.provenance(3.0))
    write_json(folder / SCENARIO_FILE, {})


def picture(path):
    """A picture with as much detail as one of a head."""
    grid = Grid((96, 112, 96), (1.8, 1.8, 1.8))
    x, y, z = grid.axes()
    mask = x**2 / 0.8 + y**2 + z**2 / 0.8 < 85**2
    truth = np.random.default_rng(0).normal(0, 0.03, grid.shape)
    save(draw(truth, 0.7 * truth, mask, grid, "ppm", path.stem), path)
    return path.read_bytes()


def invent(study, datasets, chains, seeds):
    """Write the study's folder, and the two jobs; return their files."""
    head = load("head", {"voxel_size": 4.0})
    rng = np.random.default_rng(0)
    study.mkdir(parents=True)
    drawn = picture(study / "picture.webp")
    names = chain_names(chains)
    steps = {c: prefixes(c) for c in names}
    rows, records = [], []
    study_rows, common_rows = (rows_of_scores(head.regions, s) for s in ("study", "common"))
    for i in range(datasets):
        group, seed = f"head_subject-{i // seeds}_brain-3t", i % seeds
        name = f"{group}_seed-{seed}"
        folder = study / name
        if seed == 0:
            write_truth(study / group / "truth", head)
        about = {"dataset": name, "group": group, "phantom": "head", "subject": str(i // seeds), "seed": seed}
        rows.append(dict.fromkeys(FACTORS, "") | about)
        places: dict[str, dict] = {
            "scan.json": {},
            "common.json": {},
            "pictures.json": {"not_drawn": {"romeo": "no colour scale"}},
        }
        for place, details in places.items():
            write_spec(folder / place, record(place, details=details))
        for step in dict.fromkeys(p for c in names for p in steps[c]):
            used = {"strength": 0.1, "iterations": 100, "tolerance": 1e-3}
            ran = {
                "chain": step,
                "method": step.rpartition(".")[2],
                "settings": {},
                "used": used,
                "notes": {},
                "reference": "Shmueli 2009, doi:10.1002/mrm.22135",
            }
            place = folder / "chains" / step / RUN_FILE
            write_spec(place, record(f"step {name} {step}", peak_memory=float(rng.integers(100, 900)), details=ran))
            records.append(place)
        (folder / "scores").mkdir()
        (folder / "pictures").mkdir()
        common = []
        for chain in names:
            scores(study_rows, name, chain, rng).to_parquet(folder / "scores" / f"{chain}.parquet", index=False)
            common.append(scores(common_rows, name, chain, rng))
            write_spec(folder / "scores" / f"{chain}.json", record(f"score {name} {chain}"))
            records.append(folder / "scores" / f"{chain}.json")
            (folder / "pictures" / f"{chain}.webp").write_bytes(drawn)
        pd.concat(common, ignore_index=True).to_parquet(folder / "common.parquet", index=False)
        records += [folder / place for place in places]
    artifacts = {c: ["chi"] for c in names}
    tables = TablesSpec(str(study), rows, names, steps, artifacts, {})
    report = ReportSpec(str(study), f"study: {study.name}\ndescription: {datasets} data sets, {chains} chains\n", {})
    return [
        write_job(study, tables, records, ["scores.parquet", "scores.csv", "datasets.csv"]),
        write_job(study, report, records, ["report", "config.yaml", "versions.json", "origins.json"]),
    ]


def write_job(study, spec, records, products):
    """Write a job that gathers the records."""
    inputs = {f"record {p}": [str(p), "*"] for p in records}
    job = Job(
        name=spec.kind,
        spec=spec.to_json(),
        settings={},
        record=str(study / f"{spec.kind}.json"),
        targets=[str(study / p) for p in products],
        before=[str(p) for p in records],
        inputs=inputs,
        code={},
    )
    path = study / ".jobs" / f"{spec.kind}.json"
    write_spec(path, replace(job, reusable=False))
    return path


def measured(job: Path) -> Usage:
    """Return what a job takes in an interpreter of its own."""
    return usage([sys.executable, "-P", "-m", "qsmbench.study.jobs", str(job)])


def size(folder):
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def first_table(page):
    """Seconds from opening a page to its first table, in a new browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.resolve().as_uri(), wait_until="commit")
        tab.wait_for_selector("table.overview")
        took = time.perf_counter() - start
        browser.close()
    return took


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["10x10", "20x50", "100x20", "20x100"])
    parser.add_argument("--seeds", type=int, default=5, help="replicates of each group")
    parser.add_argument("--keep", type=Path, help="folder to leave the studies in")
    args = parser.parse_args()
    print("datasets  chains  job     wall s  CPU s  peak MiB")
    with tempfile.TemporaryDirectory() as folder:
        for text in args.sizes:
            datasets, chains = map(int, text.split("x"))
            study = (args.keep or Path(folder)) / f"{text}-{args.seeds}"
            jobs = [study / ".jobs" / f"{k}.json" for k in ("tables", "report")]
            if not study.exists():
                jobs = invent(study, datasets, chains, args.seeds)
            for job in jobs:
                took = measured(job)
                figures = f"{took.wall:7.1f} {took.processor:6.1f} {took.memory:9.0f}"
                print(f"{datasets:8d} {chains:7d}  {job.stem:6s} {figures}", flush=True)
            page = study / "report" / "index.html"
            print(f"first page {page.stat().st_size / 2**20:.1f} MiB, report {size(page.parent) / 2**20:.1f} MiB")
            mail = build(study, study / "mail", single=True)
            print(f"page to mail {mail.stat().st_size / 1e6:.1f} MB")
            if CHROMIUM.exists():
                times = ", ".join(f"{first_table(p):.2f} s" for p in (page, mail))
                print(f"to the first table, folder and page to mail: {times}")


if __name__ == "__main__":
    main()
