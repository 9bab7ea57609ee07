"""The workflow of a study: simulate or import → every step of every chain → scores → tables → report.

Runs by `qsmbench run CONFIG`, or by `snakemake --cores 2 --configfile CONFIG`. Paths stand here, physics elsewhere.
"""

import json
import sys

from qsmbench.data.folders import RECEIVER_FILE
from qsmbench.study.config import parse
from qsmbench.errors import QsmbenchError
from qsmbench.study.plan import BASIS_FILES, SCAN_FILES, TRUTH_FILES, Plan
from qsmbench.dependencies import PACKAGE, sources

try:
    plan = Plan(
        parse(
            dict(config), " ".join(str(f) for f in workflow.configfiles) or "--config"
        )
    )
except QsmbenchError as error:
    raise WorkflowError(str(error)) from None

R = str(plan.folder)
JOB = f"{sys.executable} -m qsmbench.study.jobs"
STEP = f"{sys.executable} -m qsmbench.run.step"
SIMULATED = {d.group for d in plan.datasets.values() if d.has_truth}
MEASURED = {d.name for d in plan.datasets.values() if not d.has_truth}
CHAINS = plan.study.chains


def code(*modules):
    """The files of the package that a rule rests on."""
    return [str(f) for f in sources(*(PACKAGE / m for m in modules))]


wildcard_constraints:
    dataset="|".join(plan.datasets),
    group="|".join(SIMULATED) or "none",
    measured="|".join(MEASURED) or "none",
    seed=r"\d+",
    chain=plan.chain_pattern(),


rule all:
    input:
        f"{R}/report/index.html",


# A phantom and a protocol → the noise-free scan and its truth, shared by all seeds.
rule simulate:
    input:
        code=code("study/jobs/simulate.py"),
        data=lambda w: plan.phantom_files(w.group),
    output:
        scan=[f"{R}/{{group}}/noisefree/{f}" for f in [*SCAN_FILES, RECEIVER_FILE]],
        truth=[f"{R}/{{group}}/truth/{f}" for f in TRUTH_FILES],
        basis=[f"{R}/{{group}}/truth/{f}" for f in BASIS_FILES],
    log:
        f"{R}/{{group}}/logs/simulate.txt",
    threads: workflow.cores
    params:
        job=JOB,
        spec=lambda w: plan.source_spec(w.group),
        out=lambda w: plan.folder / w.group,
    shell:
        "QSMBENCH_THREADS={threads} {params.job} simulate {params.spec:q} {params.out:q} 2> {log}"


rule noise:
    input:
        scan=[f"{R}/{{group}}/noisefree/{f}" for f in [*SCAN_FILES, RECEIVER_FILE]],
        code=code("study/jobs/noise.py"),
    output:
        [f"{R}/{{group}}_seed-{{seed}}/scan/{f}" for f in SCAN_FILES],
    log:
        f"{R}/{{group}}_seed-{{seed}}/logs/noise.txt",
    params:
        job=JOB,
        spec=lambda w: plan.source_spec(w.group),
        noisefree=lambda w: plan.folder / w.group / "noisefree",
        out=lambda w: plan.scan(f"{w.group}_seed-{w.seed}"),
    shell:
        "{params.job} noise --seed {wildcards.seed} {params.spec:q}"
        " {params.noisefree:q} {params.out:q} 2> {log}"


# A measured scan, from BIDS.
rule measure:
    input:
        code=code("study/jobs/measure.py"),
        data=lambda w: plan.measured_files(w.measured),
    output:
        [f"{R}/{{measured}}/scan/{f}" for f in SCAN_FILES],
    log:
        f"{R}/{{measured}}/logs/measure.txt",
    params:
        job=JOB,
        spec=lambda w: plan.source_spec(w.measured),
        out=lambda w: plan.scan(w.measured),
    shell:
        "{params.job} measure {params.spec:q} {params.out:q} 2> {log}"


# One method on one dataset. It never fails: what went wrong with a method stands in its run.json.
rule step:
    input:
        before=lambda w: plan.before(w.dataset, w.chain),
        code=lambda w: plan.code(w.chain),
    output:
        f"{R}/{{dataset}}/chains/{{chain}}/run.json",
    log:
        f"{R}/{{dataset}}/logs/{{chain}}.txt",
    threads: 1
    params:
        step=STEP,
        spec=lambda w: plan.spec(w.dataset, w.chain),
    shell:
        "QSMBENCH_THREADS={threads} OMP_NUM_THREADS={threads} exec {params.step} {params.spec:q} 2> {log}"


# The scores of a chain on the study mask, and its picture.
rule score:
    input:
        run=f"{R}/{{dataset}}/chains/{{chain}}/run.json",
        code=code("study/jobs/score.py"),
    output:
        table=f"{R}/{{dataset}}/scores/{{chain}}.parquet",
    log:
        f"{R}/{{dataset}}/logs/score_{{chain}}.txt",
    params:
        job=JOB,
        spec=lambda w: json.dumps(plan.score_spec(w.dataset, w.chain)),
    shell:
        "QSMBENCH_THREADS={threads} {params.job} score {params.spec:q} {output.table} 2> {log}"


# The scores on the voxels that all chains share: they rest on every chain, so they are apart.
rule common:
    input:
        runs=[f"{R}/{{dataset}}/chains/{chain}/run.json" for chain in CHAINS],
        code=code("study/jobs/common.py"),
    output:
        table=f"{R}/{{dataset}}/common.parquet",
        mask=f"{R}/{{dataset}}/common.nii.gz",
    log:
        f"{R}/{{dataset}}/logs/common.txt",
    params:
        job=JOB,
        specs=lambda w: json.dumps([plan.score_spec(w.dataset, c) for c in CHAINS]),
    shell:
        "QSMBENCH_THREADS={threads} {params.job} common {params.specs:q} {output} 2> {log}"


rule tables:
    input:
        own=[
            f"{R}/{d}/scores/{chain}.parquet"
            for d in plan.datasets
            for chain in CHAINS
        ],
        common=[f"{R}/{d}/common.parquet" for d in plan.datasets],
        code=code("study/jobs/tables.py"),
    output:
        f"{R}/scores.parquet",
        f"{R}/scores.csv",
    log:
        f"{R}/logs/tables.txt",
    params:
        job=JOB,
        folder=plan.folder,
        datasets=json.dumps(list(plan.datasets)),
        chains=json.dumps(CHAINS),
    shell:
        "{params.job} tables {params.folder:q} {params.datasets:q} {params.chains:q} 2> {log}"


rule report:
    input:
        scores=f"{R}/scores.parquet",
        basis=[f"{R}/{g}/truth/{f}" for g in sorted(SIMULATED) for f in BASIS_FILES],
        code=code("study/jobs/report.py"),
        page=[str(f) for f in (PACKAGE / "report").glob("*.j2")],
    output:
        f"{R}/report/index.html",
    log:
        f"{R}/logs/report.txt",
    params:
        job=JOB,
        folder=plan.folder,
        config=plan.config_text(),
    shell:
        "{params.job} report {params.folder:q} {params.config:q} 2> {log}"
