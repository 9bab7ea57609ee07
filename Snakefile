"""The workflow of a study: simulate or import → every step of every chain → scores and pictures → tables → report.

Runs by `qsmbench run CONFIG`, or by `snakemake --cores 2 --configfile CONFIG`. What is up to date is told by the records
in the study's folder (`qsmbench.study.freshness`): a record that is not has been moved aside before Snakemake looks, so
that it only ever sees which records are missing. Hence all inputs are `ancient`: their times say nothing.
"""

import os

from qsmbench.errors import QsmbenchError
from qsmbench.study.needs import Needs
from qsmbench.study.workflow import (
    CLUSTER_CORES,
    command,
    planned,
    scan_command,
    start_warm,
)

try:
    plan = planned(
        dict(config),
        " ".join(str(f) for f in workflow.configfiles) or "--config",
        prepare=workflow.is_main_process,
    )
except QsmbenchError as error:
    raise WorkflowError(str(error)) from None

RUN = command(plan)  # which runs in the present working directory
SCAN = scan_command(plan)
PLACE = str(plan.folder)

if set("{}") & set(PLACE):  # Snakemake would read them as wildcards

    workdir: PLACE

    PLACE = ""


def at(path):
    """A path of the study, as Snakemake knows it."""
    return os.path.join(PLACE, os.path.relpath(plan.folder / path, plan.folder))


NEEDS = Needs(plan)
ON_CLUSTER = workflow.resource_settings.nodes is not None
CORES = workflow.resource_settings.cores or CLUSTER_CORES  # a cluster needs no --cores
SHARED = workflow.is_main_process and not ON_CLUSTER  # all jobs run here, side by side


def before(record):
    """The records that the job of a record waits for."""
    return lambda w: [ancient(at(f)) for f in plan.before(record(w))]


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
        ancient(at(plan.report)),


# A phantom and a protocol → the noise-free scan and its truth, shared by all seeds.
rule simulate:
    output:
        at("{group}/simulation.json"),
    log:
        at("{group}/logs/simulate.txt"),
    threads: lambda w: NEEDS.simulation_threads(w.group, CORES) if SHARED else CORES
    resources:
        mem_mb=lambda w, attempt: NEEDS.simulation_memory(w.group, attempt),
        runtime=lambda w, attempt: NEEDS.simulation_minutes(w.group, attempt),
    shell:
        RUN


rule noise:
    input:
        before(lambda w: plan.scan(w.simulated)),
    output:
        at("{simulated}/scan.json"),
    log:
        at("{simulated}/logs/noise.txt"),
    shell:
        RUN


# A measured scan, from BIDS.
rule measure:
    output:
        at("{measured}/scan.json"),
    log:
        at("{measured}/logs/measure.txt"),
    shell:
        RUN


# One method on one dataset.
rule step:
    input:
        before(lambda w: plan.step(w.dataset, w.chain)),
    output:
        at("{dataset}/chains/{chain}/run.json"),
    log:
        at("{dataset}/logs/{chain}.txt"),
    threads: 1
    shell:
        RUN


# The scores of a chain on the study mask.
rule score:
    input:
        before(lambda w: plan.score(w.dataset, w.chain)),
    output:
        at("{dataset}/scores/{chain}.json"),
    log:
        at("{dataset}/logs/score_{chain}.txt"),
    shell:
        RUN


# The scores on the common voxels, which depend on every chain.
rule common:
    input:
        before(lambda w: plan.common(w.dataset)),
    output:
        at("{dataset}/common.json"),
    log:
        at("{dataset}/logs/common.txt"),
    shell:
        RUN


rule pictures:
    input:
        before(lambda w: plan.pictures(w.dataset)),
    output:
        at("{dataset}/pictures.json"),
    log:
        at("{dataset}/logs/pictures.txt"),
    shell:
        RUN


# All jobs of a scan at once, for a cluster, where each would take longer to start than most of them run.
rule scan:
    input:
        lambda w: [ancient(at(f)) for f in plan.before_scan(w.dataset)],
    output:
        at("{dataset}/common.json"),
        at("{dataset}/pictures.json"),
    log:
        at("{dataset}/logs/scan.txt"),
    threads: CLUSTER_CORES
    resources:
        mem_mb=lambda w, threads, attempt: NEEDS.scan_memory(
            w.dataset, threads, attempt
        ),
        runtime=lambda w, threads, attempt: NEEDS.scan_minutes(
            w.dataset, threads, attempt
        ),
    shell:
        SCAN


if ON_CLUSTER:

    ruleorder: scan > common
    ruleorder: scan > pictures

else:

    ruleorder: common > scan
    ruleorder: pictures > scan


rule tables:
    input:
        lambda w: [
            ancient(at(f))
            for f in (plan.last if ON_CLUSTER else plan.before(plan.tables))
        ],
    output:
        at(plan.tables),
    log:
        at("logs/tables.txt"),
    shell:
        RUN


rule report:
    input:
        before(lambda w: plan.report),
    output:
        at(plan.report),
    log:
        at("logs/report.txt"),
    shell:
        RUN
