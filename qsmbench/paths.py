"""Location of the package's data folder and of the cache."""

import os
from pathlib import Path


def data_dir() -> Path:
    """Return the folder that contains the Snakefile, `phantoms/` and `configs/`.

    In an installed wheel it is `qsmbench/share`; in a checkout it is the root of the repository.
    """
    package = Path(__file__).parent
    installed = package / "share"
    return installed if installed.is_dir() else package.parent


def cache_dir() -> Path:
    """Return the cache folder: the environment variable QSMBENCH_CACHE, by default `qsmbench` in the user's cache."""
    stated = os.environ.get("QSMBENCH_CACHE")
    return Path(stated) if stated else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qsmbench"
