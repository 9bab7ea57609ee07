"""Location of the package's data folder."""

from pathlib import Path


def data_dir() -> Path:
    """Return the folder that contains the Snakefile, `phantoms/` and `configs/`.

    In an installed wheel it is `qsmbench/share`; in a checkout it is the root of the repository.
    """
    package = Path(__file__).parent
    installed = package / "share"
    return installed if installed.is_dir() else package.parent
