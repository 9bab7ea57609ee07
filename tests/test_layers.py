"""The structure of the package: no circle of imports, and no import that runs back up."""

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import qsmbench

PACKAGE = Path(qsmbench.__file__).parent

LAYERS = [
    {"errors", "units", "paths", "log"},
    {"source_code", "syscall_filter", "spectra"},
    {"sandbox"},
    {"probe"},
    {"grid", "seeds", "threads", "typed_yaml", "dependencies", "supervise", "child"},
    {"compiled"},
    {"data"},
    {"method", "ops.arrays"},
    {"ops.kernels", "ops.masks", "ops.phase"},
    {"ops.water_fat"},
    {"ops.solvers"},
    {"phantom", "choice", "external"},
    {"scan", "run", "metrics", "view"},
    {"methods", "analysis", "conform", "scaffold"},
    {"report", "gate"},
    {"study"},
    {"review"},
    {"listing"},
    {"api", "challenge", "cli_show", "export"},
    {"cli_challenge", "cli_export", "cli_gate", "cli_rank", "cli_review"},
    {"cli"},
]
"""From the ground up: a module imports from its own layer's folder, and from the layers below."""


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(f): f for f in PACKAGE.rglob("*.py")}


@cache
def imports(module: str) -> set[str]:
    """The modules of the package that a module imports anywhere, within functions and for types, too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative imports hide where a name comes from"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [n if n.partition(".")[2] in FILES else str(node.module) for n in names]
        found |= {n.partition(".")[2] for n in names if n.partition(".")[0] == "qsmbench"}
    return {f for f in found if f in FILES and f != module}


def layer_of(module: str) -> int:
    top = module.split(".")
    names = {top[0], ".".join(top[:2])}
    return next(i for i, layer in enumerate(LAYERS) if layer & names)


def unit_of(module: str) -> str:
    return ".".join(module.split(".")[: 2 if module.startswith("ops.") else 1])


def test_no_circle_of_imports():
    try:
        order = list(TopologicalSorter({m: imports(m) for m in FILES}).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))
    assert len(order) == len(FILES)


@pytest.mark.parametrize("module", sorted(m for m in FILES if m not in ("", "ops")))
def test_no_import_runs_back_up(module):
    above = [m for m in imports(module) if m and layer_of(m) >= layer_of(module) and unit_of(m) != unit_of(module)]
    assert not above


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("phantom.description", ("phantom.painting", "phantom.veins")),
        ("phantom.painting", ("phantom.veins",)),
        ("analysis", ("report", "view")),
        ("study.jobs.step", ("report",)),
        ("scan", ("ops", "methods")),  # the simulator and the methods share no kernel
        ("phantom", ("ops", "methods")),
        ("run", ("methods", "choice", "external")),  # loaded by name
    ],
)
def test_what_is_kept_apart(folder, never):
    for module in FILES:
        if module == folder or module.startswith(f"{folder}."):
            assert not [m for m in imports(module) if any(m == n or m.startswith(f"{n}.") for n in never)], module


BUILT_ON = {
    "methods.controls.noisy": {"methods.field.fit"},
    "methods.inversion.star": {"methods.inversion.tv"},
    "methods.joint.after_sato": {"methods.joint._passes"},
    "methods.joint.qsmart": {"methods.joint._passes"},
    "methods.joint.two_pass": {"methods.joint._passes"},
    "methods.separation.chi_separation_r2star": {"methods.separation.chi_separation"},
}
"""The methods that run another one."""


@pytest.mark.parametrize("module", sorted(m for m in FILES if m.startswith("methods.")))
def test_a_method_imports_operations_and_what_a_method_is(module):
    ground = {"method", "errors", "grid", "threads", "units", "spectra", "data.artifacts"} | BUILT_ON.get(module, set())
    assert {m for m in imports(module) if not m.startswith("ops.")} <= ground


def test_files_at_the_top_are_few():
    top = {m for m in FILES if "." not in m and FILES[m].name != "__init__.py"}
    assert top <= set().union(*LAYERS)


def test_a_shell_starts_fast():
    """`--help` imports neither numpy nor pandas."""
    code = "import sys, qsmbench.cli; sys.exit(bool({'numpy', 'pandas', 'snakemake'} & set(sys.modules)))"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
