"""The speed of the harness in one table: `python benchmarks/speed.py`, some 15 minutes on 2 cores.

Cold: no compiled loops, nothing kept of any phantom. Warm: both are kept from a run before. A new subject: loops are
compiled and the template's distances are kept, but nothing of the subject. Wall seconds on all processors, or CPU
seconds; methods themselves are measured by `methods.py`.
"""

import os
import tempfile
from pathlib import Path

import report
import scoring
import study
import subject


def main() -> None:
    """Measure, and print a line each, beside its goal."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for caches in ("cold", "warm"):
            show(f"quick study, {caches}", study.time_of_quick(place), "s wall", 80 if caches == "warm" else None)
        os.environ |= study.caches(place)
        show("step, beside its method", study.step_overhead(place), "s CPU", 0.3)
        show("1000 chains known to Snakemake", study.time_of_dag(place), "s wall", 6)
        for datasets, chains, goal in ((5, 20, 5), (100, 20, 60)):
            seconds, memory = cost_of_report(place, datasets, chains)
            show(f"report of {datasets * chains} pairs", seconds, "s wall", goal)
            show(f"report of {datasets * chains} pairs", memory, "MiB", 1024 if goal == 60 else None)
        for name, cost in costs_of_scores().items():
            show(f"{name}, a chain at 1.5 mm", cost, "s CPU", 0.5 if name == "score" else None)
        for state, seconds in costs_of_subject(place).items():
            show(f"simulation at 2 mm, {state} subject", seconds, "s wall", 15 if state == "new" else None)


def show(what: str, value: float, unit: str, goal: float | None) -> None:
    """Print one measurement."""
    print(f"{what:36} {value:9.2f} {unit:7}{'' if goal is None else f' goal {goal:g}'}", flush=True)


def costs_of_scores() -> dict[str, float]:
    """CPU seconds of the jobs of a chain once libraries and loops are loaded, as in the warm process."""
    specs = scoring.prepare(1.5, scoring.CHAINS)
    return {job: scoring.in_a_process(job, specs, repeat=3)[2] for job in ("score", "common", "pictures")}


def cost_of_report(place: Path, datasets: int, chains: int) -> tuple[float, float]:
    """Wall seconds of tables and report of an invented study, and their peak memory [MiB]."""
    jobs = report.invent(place / f"{datasets}x{chains}", datasets, chains, 5)
    found = [report.measured(job) for job in jobs]
    return sum(u.wall for u in found), max(u.memory for u in found)


def costs_of_subject(place: Path) -> dict[str, float]:
    """Wall seconds of the simulation of a subject by what is kept of it."""
    kept = str(place / "subjects")
    subject.simulate(3, 4, place / "scan", kept)
    return {state: subject.simulate(7, 2, place / "scan", kept)[0] for state in ("new", "warm")}


if __name__ == "__main__":
    main()
