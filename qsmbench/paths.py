"""Where the data folder lies that goes with the package, and where results are kept between processes."""

import os
from pathlib import Path


def data_dir() -> Path:
    """Return the folder that holds the Snakefile, `phantoms/` and `configs/`.

    In an installed wheel it is `qsmbench/share`; in a checkout it is the root of the repository.
    """
    package = Path(__file__).parent
    installed = package / "share"
    return installed if installed.is_dir() else package.parent


def cache_dir() -> Path:
    """Return the cache: QSMBENCH_CACHE of the environment, by default `qsmbench` in the user's caches."""
    stated = os.environ.get("QSMBENCH_CACHE")
    return Path(stated) if stated else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qsmbench"
