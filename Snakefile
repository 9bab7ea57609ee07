"""The workflow of a study: simulate or import → every step of every chain → scores and pictures → tables → report.

Runs by `qsmbench run CONFIG`, or by `snakemake --cores 2 --configfile CONFIG`. What is up to date is told by the records
in the study's folder (`qsmbench.study.freshness`): a record that is not has been moved aside before Snakemake looks, so
that it only ever sees which records are missing. Hence all inputs are `ancient`: their times say nothing.
"""

import shlex
import sys

from qsmbench.errors import QsmbenchError
from qsmbench.study import ask
from qsmbench.study.workflow import planned, start_warm

try:
    plan = planned(
        dict(config),
        " ".join(str(f) for f in workflow.configfiles) or "--config",
        prepare=workflow.is_main_process,
    )
except QsmbenchError as error:
    raise WorkflowError(str(error)) from None

R = str(plan.folder)
JOB = f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(ask.__file__)}"


def before(record):
    """The records that the job of a record waits for."""
    return lambda w: [ancient(f) for f in plan.before(record(w))]


def job(record):
    """The specification of the job of a record."""
    return lambda w: str(plan.job_file_of(record(w)))


wildcard_constraints:
    dataset=plan.pattern(plan.datasets),
    group=plan.pattern(plan.groups),
    simulated=plan.pattern(d for d, s in plan.datasets.items() if s.has_truth),
    measured=plan.pattern(d for d, s in plan.datasets.items() if not s.has_truth),
    chain=plan.pattern(plan.steps),


onstart:
    start_warm(plan)


rule all:
    input:
        ancient(str(plan.report)),


# A phantom and a protocol → the noise-free scan and its truth, shared by all seeds.
rule simulate:
    output:
        f"{R}/{{group}}/simulation.json",
    log:
        f"{R}/{{group}}/logs/simulate.txt",
    threads: workflow.cores
    params:
        run=JOB,
        job=job(lambda w: plan.simulation(w.group)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


rule noise:
    input:
        before(lambda w: plan.scan(w.simulated)),
    output:
        f"{R}/{{simulated}}/scan.json",
    log:
        f"{R}/{{simulated}}/logs/noise.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.scan(w.simulated)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


# A measured scan, from BIDS.
rule measure:
    output:
        f"{R}/{{measured}}/scan.json",
    log:
        f"{R}/{{measured}}/logs/measure.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.scan(w.measured)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


# One method on one dataset.
rule step:
    input:
        before(lambda w: plan.step(w.dataset, w.chain)),
    output:
        f"{R}/{{dataset}}/chains/{{chain}}/run.json",
    log:
        f"{R}/{{dataset}}/logs/{{chain}}.txt",
    threads: 1
    params:
        run=JOB,
        job=job(lambda w: plan.step(w.dataset, w.chain)),
    shell:
        "QSMBENCH_THREADS={threads} OMP_NUM_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


# The scores of a chain on the study mask.
rule score:
    input:
        before(lambda w: plan.score(w.dataset, w.chain)),
    output:
        f"{R}/{{dataset}}/scores/{{chain}}.json",
    log:
        f"{R}/{{dataset}}/logs/score_{{chain}}.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.score(w.dataset, w.chain)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


# The scores on the voxels that all chains share: they rest on every chain, so they are apart.
rule common:
    input:
        before(lambda w: plan.common(w.dataset)),
    output:
        f"{R}/{{dataset}}/common.json",
    log:
        f"{R}/{{dataset}}/logs/common.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.common(w.dataset)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


rule pictures:
    input:
        before(lambda w: plan.pictures(w.dataset)),
    output:
        f"{R}/{{dataset}}/pictures.json",
    log:
        f"{R}/{{dataset}}/logs/pictures.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.pictures(w.dataset)),
    shell:
        "QSMBENCH_THREADS={threads} {params.run} {params.job:q} 2> {log:q}"


rule tables:
    input:
        before(lambda w: plan.tables),
    output:
        str(plan.tables),
    log:
        f"{R}/logs/tables.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.tables),
    shell:
        "{params.run} {params.job:q} 2> {log:q}"


rule report:
    input:
        before(lambda w: plan.report),
    output:
        str(plan.report),
    log:
        f"{R}/logs/report.txt",
    params:
        run=JOB,
        job=job(lambda w: plan.report),
    shell:
        "{params.run} {params.job:q} 2> {log:q}"
