"""The package versions shown in a report."""

import platform
from functools import cache
from importlib.metadata import version

PACKAGES = ("qsmbench", "numpy", "scipy", "numba", "nibabel", "nilearn", "pandas", "snakemake")


@cache
def reported_versions() -> dict[str, str]:
    """Return the versions of the main packages, of Python, and the platform, by name."""
    found = {name: version(name) for name in PACKAGES}
    return found | {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
