"""What methods and ops may import: nothing that runs, finds or scores them."""

import ast
from pathlib import Path

import pytest

import qsmbench

PACKAGE = Path(qsmbench.__file__).parent
BASE = {"errors", "grid", "threads", "units"}
BUILT_ON = {
    "controls/noisy.py": {"methods.field.fit"},
    "inversion/star.py": {"methods.inversion.tv"},
    "joint/qsmart.py": {"methods.joint._passes"},
    "joint/two_pass.py": {"methods.joint._passes"},
    "separation/chi_separation_r2star.py": {"methods.separation.chi_separation"},
}
"""The methods that run another one."""


def files(folder):
    return [f.relative_to(PACKAGE / folder).as_posix() for f in sorted((PACKAGE / folder).rglob("*.py"))]


def imported(file):
    """The modules of qsmbench that a file imports, without the package's name."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
    names += [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    return {n.removeprefix("qsmbench.") for n in names if n and n.startswith("qsmbench")}


@pytest.mark.parametrize("file", files("ops"))
def test_ops_import_ops_and_the_base(file):
    assert {n for n in imported(PACKAGE / "ops" / file) if not n.startswith("ops.")} <= BASE


@pytest.mark.parametrize("file", files("methods"))
def test_methods_import_ops_and_the_base(file):
    allowed = BASE | {"method", "data.artifacts"} | BUILT_ON.get(file, set())
    assert {n for n in imported(PACKAGE / "methods" / file) if not n.startswith("ops.")} <= allowed


def test_ops_import_each_other_in_one_direction():
    """Removing the files that import nothing of those left, again and again, leaves none."""
    left = {f"ops.{f.removesuffix('.py').replace('/', '.')}": imported(PACKAGE / "ops" / f) for f in files("ops")}
    while free := [name for name, names in left.items() if not names & (left.keys() - {name})]:
        for name in free:
            del left[name]
    assert not left
