"""How long a new subject of the head takes: seconds of wall and of processor, each figure from a process of its own.

    python benchmarks/subject.py [--subjects 3 7] [--voxel-size 2]

Cold: nothing of the subject is kept, nor of the template's distances. New: only these are. Warm: its veins and its
labels are kept, too. Loops are compiled before anything is measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VEINS = """
import sys, time
from qsmbench.phantom.load import load
head = load("head", {"voxel_size": 2, "subject": int(sys.argv[1])})
head._maps
head.person
wall, processor = time.perf_counter(), time.process_time()
count = len(head.vessels)
print(count, time.perf_counter() - wall, time.process_time() - processor)
"""


def run(command, cache):
    """Wall and processor seconds of a command, and what it printed."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "QSMBENCH_CACHE": cache}
    )
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used, done.stdout


def simulate(subject, voxel_size, out, cache):
    """Seconds of one `qsmbench simulate`."""
    command = [sys.executable, "-m", "qsmbench.cli", "simulate", "head", str(out), "--protocol", "brain-3t"]
    command += ["--set", f"voxel_size={voxel_size}", "--set", f"subject={subject}"]
    return run(command, cache)[:2]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", nargs="+", type=int, default=[3, 7])
    parser.add_argument("--voxel-size", type=float, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scan"
        simulate(min(args.subjects) + 1000, 4, out, f"{folder}/compile")
        print("subject  state          wall s  processor s")
        for subject in args.subjects:
            cold = f"{folder}/{subject}"
            for state, cache in (("cold", cold), ("warm", cold), ("new", f"{folder}/compile")):
                wall, processor = simulate(subject, args.voxel_size, out, cache)
                print(f"{subject:7d}  {state:12s} {wall:8.1f} {processor:12.1f}")
            grown = f"{folder}/veins-{subject}"
            run([sys.executable, "-c", VEINS, str(subject)], grown)
            _, _, printed = run([sys.executable, "-c", VEINS, str(subject + 5000)], grown)
            count, wall, processor = map(float, printed.split())
            print(f"{subject:7d}  {count:.0f} veins {wall:8.1f} {processor:12.1f}")


if __name__ == "__main__":
    main()
