"""The specification of a step on a scan folder with its truth, as tests of methods run it."""

from pathlib import Path

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import present
from qsmbench.run.specs import StepSpec


def step_spec(method, folder: Path, out: Path, **more) -> StepSpec:
    """Run `method` on `folder`/scan; what that does not hold comes from `folder`/truth."""
    scan, truth = folder / "scan", folder / "truth"
    here = present(scan)
    inputs = {n: str(scan if n in here else truth) for n in ARTIFACTS if n in here or n in present(truth)}
    default = {"chain": "truth.mine", "settings": {}, "orientations": [], "each_orientation": False, "time_limit": 60}
    default |= {"memory_limit": None, "container": "none", "device": "numpy"}
    return StepSpec(method=str(method), inputs=inputs, scan=str(scan), out=str(out), **{**default, **more})
