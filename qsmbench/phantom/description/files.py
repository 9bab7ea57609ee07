"""Locate the files named in a description."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from qsmbench.errors import QsmbenchError


def locate(file: str, folder: Path) -> Path:
    """Return the path of a file: `package:path/in/package`, absolute, or relative to the description's `folder`.

    Raises:
        QsmbenchError: there is no such file or package.
    """
    package, _, inside = file.rpartition(":")
    if package:
        spec = importlib.util.find_spec(package)  # the package itself is not imported, which may be slow
        if spec is None or spec.origin is None:
            raise QsmbenchError(f"{file}: the package {package} is not installed")
        path = Path(spec.origin).parent / inside
    else:
        path = folder / file
    if not path.is_file():
        raise QsmbenchError(f"{path}: no such file")
    return path
