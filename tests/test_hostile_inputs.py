"""Files and settings that are wrong, by accident or on purpose: refused in one line, before anything is written.

Each is a valid document of which one thing was replaced by something hostile, or text that no one would write.
"""

import json
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_study import scores, write_study

from qsmbench.analysis.results import read_study
from qsmbench.data import folders
from qsmbench.errors import ExitCode, QsmbenchError
from qsmbench.external.contract import read_manifest
from qsmbench.phantom.load import load as load_phantom
from qsmbench.scan.memory import check_memory, memory_needed
from qsmbench.scan.protocol import load_protocol, protocols
from qsmbench.study import config
from qsmbench.typed_yaml import read_yaml

STUDY = {
    "study": "s",
    "description": "a study",
    "datasets": [
        {"phantom": "sphere", "protocol": "brain-3t", "seeds": [0, 1], "set": {"voxel_size": 6}, "name": "one"},
        {"phantom": "sphere", "protocol": "brain-3t", "set_protocol": {"snr": 50, "te": [0.01, 0.02]}},
    ],
    "chains": ["truth", "truth.tkd", "romeo.fit.vsharp.mine"],
    "methods": {"mine": {"use": "tkd", "set": {"threshold": 0.1}}},
    "time_limit": 100,
    "memory_limit": 1000,
    "container": "none",
    "device": "numpy",
}
MANIFEST = {
    "stage": "dipole",
    "slug": "mine",
    "run": "bash run.sh",
    "inputs": ["localfield", "mask"],
    "optional_inputs": ["magnitude"],
    "parameters": [{"name": "threshold", "default": 0.1}],
    "image": "image:1",
    "citation": "Author 2000",
    "doi": "10.1/1",
    "description": "A method. It is one.",
}
PARAMS = {"TE": [0.004, 0.009, 0.014], "B0": 3.0, "B0_dir": [0.0, 0.0, 1.0], "voxel_size": [1.0, 1.1, 1.25]}
PROTOCOL = read_yaml(protocols()["brain-3t"])

NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
HOSTILE = [
    *NOT_FINITE,
    *(True, False, None, 0, -1, 10**400, -(10**30), 1e308, 1e-308, -0.0),
    *("", "x" * 300, "\0", "../../etc/passwd", "/dev/zero", "a\nb", "\x1b[31m", "{}", "%s", "𝛘" * 100, ".", "nan"),
    *([], {}, [[]], [None], {"": None}, [0, 0], {"x" * 300: 1}, ["x"] * 1000, {"a": {"b": {"c": []}}}),
]


def places(document, path=()):
    """The keys that lead to each value of a document."""
    inner = document.items() if isinstance(document, dict) else ()
    inner = enumerate(document) if isinstance(document, list) else inner
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def replaced(document, path, value):
    """The document with another value at a place."""
    if not path:
        return value
    copied = document.copy()
    copied[path[0]] = replaced(document[path[0]], path[1:], value)
    return copied


@st.composite
def spoilt(draw, document):
    """A document with one thing replaced, or added; and what that is."""
    path, value = draw(st.sampled_from(places(document))), draw(st.sampled_from(HOSTILE))
    if draw(st.booleans()) and path:
        return replaced(document, path, value), value
    node = document
    for key in path:
        node = node[key]
    if isinstance(node, dict):
        return replaced(document, path, {**node, draw(st.sampled_from(["x", "y" * 300, "te", "set"])): value}), value
    return replaced(document, path, value), value


_NINE = {b: ", ".join([f"*{a}"] * 9) for a, b in zip("abcdefgh", "bcdefghi", strict=True)}
BOMB = "\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *(f"{b}: &{b} [{nine}]" for b, nine in _NINE.items())])
"""Nine to the ninth values."""

TEXTS = [
    BOMB.encode(),
    b"stage: &a [*a]\nrun: *a",
    b"a: " + b"[" * 2000,
    b"a: " + b"[" * 200 + b"]" * 200,
    b"{a: " * 3000,
    b"? [a, b]\n: c",
    b"stage: dipole\nstage: bfr",
    b"a: !!python/object/apply:os.system ['touch cheated']",
    b"\xff\xfe\x00\x01",
    b"a: 2001-99-99",
    b"a: !!int abc",
    b"a: !!float abc",
    b"a: !!timestamp abc",
    b"a: !!binary ===",
    b"a: 1:99:99:99:99:99",
    b"a: " + b"9" * 100_000,
    b"a: 1e999999",
    b"x" * 2_000_000,
    b"a:\tb",
    b"- a",
    b"",
    b"%YAML 9.9\n---\na",
    b"<<: [*a]",
    b"<<: 3",
    b"--- a\n--- b",
    b"null",
]


def refused(act, folder: Path, *, must: bool = False) -> None:
    """Act; if that is refused, it is in one line with exit code 2. Nothing is written either way."""
    before = {f: f.read_bytes() if f.is_file() else None for f in folder.rglob("*")}
    start, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        act()
    except QsmbenchError as e:
        assert e.exit_code == ExitCode.USAGE
        assert str(e) and len(str(e)) < 3000 and "\n" not in str(e).strip()
    except OSError as e:  # which the command line tells in the same way
        assert e.filename and e.strerror
    else:
        assert not must, "was accepted"
    assert time.monotonic() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**20  # KiB
    assert {f: f.read_bytes() if f.is_file() else None for f in folder.rglob("*")} == before


def few(examples):
    """Some examples, and a thousand where slow tests are asked for."""
    quick = settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
    )
    return [
        pytest.param(quick, id="few"),
        pytest.param(settings(quick, max_examples=1000, derandomize=False), marks=pytest.mark.slow, id="many"),
    ]


def as_yaml(content, path):
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


def not_finite(value):
    return isinstance(value, float) and not np.isfinite(value)


@pytest.mark.parametrize("how_many", few(60))
def test_studies(tmp_path, monkeypatch, how_many):
    monkeypatch.chdir(tmp_path)
    config.load(as_yaml(STUDY, tmp_path / "s.yaml"))

    @how_many
    @given(spoilt(STUDY))
    def try_one(case):
        content, value = case
        path = as_yaml(content, tmp_path / "s.yaml")
        refused(lambda: config.load(path), tmp_path, must=not_finite(value))

    try_one()


@pytest.mark.parametrize("how_many", few(60))
def test_manifests(tmp_path, how_many):
    as_yaml(MANIFEST, tmp_path / "algorithm.yml")
    assert read_manifest(tmp_path).name == "mine"

    @how_many
    @given(spoilt(MANIFEST))
    def try_one(case):
        content, value = case
        as_yaml(content, tmp_path / "algorithm.yml")
        refused(lambda: read_manifest(tmp_path), tmp_path, must=not_finite(value))

    try_one()


@pytest.mark.parametrize("how_many", few(60))
def test_protocols_and_phantoms(tmp_path, how_many):
    keys = ["voxel_size", "radius", "field_of_view", "supersampling", "tissues.water.chi", "sources", "delta_chi", "x"]
    sphere = load_phantom("sphere")

    @how_many
    @given(spoilt(PROTOCOL), st.sampled_from(keys), st.sampled_from([*HOSTILE, 1e-3, 0.01]))
    def try_one(case, key, value):
        content, inner = case
        path = as_yaml(content, tmp_path / "p.yaml")
        refused(lambda: check_memory(sphere, load_protocol(str(path))), tmp_path, must=not_finite(inner))
        protocol = load_protocol("brain-3t")
        refused(lambda: check_memory(load_phantom("sphere", {key: value}), protocol), tmp_path, must=not_finite(value))

    try_one()


@pytest.mark.parametrize("how_many", few(60))
def test_parameters_of_scans(scan_folder, how_many):
    scan = scan_folder / "scan"

    @how_many
    @given(spoilt(PARAMS))
    def try_one(case):
        content, value = case
        (scan / "params.json").write_text(json.dumps(content))
        extra = isinstance(content, dict) and set(content) - set(PARAMS)  # keys of others are their affair
        refused(lambda: folders.read_params(scan), scan, must=not_finite(value) and not extra)

    try_one()


READERS = {
    "study": lambda path: config.load(path),
    "manifest": lambda path: read_manifest(path.parent),
    "protocol": lambda path: load_protocol(str(path)),
    "phantom": lambda path: load_phantom(str(path)),
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: repr(t[:20]))
@pytest.mark.parametrize("reader", READERS)
def test_texts(tmp_path, monkeypatch, reader, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("algorithm.yml" if reader == "manifest" else "x.yaml")
    path.write_bytes(text)
    refused(lambda: READERS[reader](path), tmp_path, must=True)


DAMAGED = [
    b"",
    b"{",
    b"[1]",
    b"[" * 100_000,
    b"null",
    b"\xff\xfe",
    b'{"numpy": 3}',
    b'{"a": {"b": 1}}',
    b"1e999",
    b"{\x00}",
]


@pytest.mark.parametrize("name", ["versions.json", "origins.json", "config.yaml", "dseg.tsv", "params.json"])
@pytest.mark.parametrize("damage", [*DAMAGED, BOMB.encode()], ids=lambda d: repr(d[:12]))
def test_files_of_a_study(tmp_path, name, damage):
    folder = tmp_path / "study"
    write_study(folder, scores(["truth", "zero"]), pictures=False)
    (folder / name).write_bytes(damage)
    readers = {"dseg.tsv": folders.read_regions, "params.json": lambda path: folders.read_params(path.parent)}
    read = readers.get(name, lambda path: read_study(path.parent))
    is_mapping = name == "config.yaml" and damage.startswith(b'{"')
    refused(lambda: read(folder / name), tmp_path, must=not is_mapping)


@pytest.mark.parametrize("row", ["x\ty\tz", "-1\ta\tb", "1.5\ta\tb", "9999999999999\ta\tb", "²\ta\tb"])
def test_rows_of_regions(tmp_path, row):
    (tmp_path / "dseg.tsv").write_text(f"index\tname\tgroup\n1\twater\tcsf\n{row}\n")
    refused(lambda: folders.read_regions(tmp_path / "dseg.tsv"), tmp_path, must=True)


def test_the_memory_of_a_grid_is_estimated():
    """A tenth of the voxel size takes a thousand times the memory; a head of 0.01 mm takes more than there is."""
    protocol = load_protocol("brain-3t")
    coarse, fine = (memory_needed(load_phantom("sphere", {"voxel_size": v}), protocol) for v in (6.0, 0.6))
    assert 950 < fine / coarse < 1050
    with pytest.raises(
        QsmbenchError, match=r"takes at least [\d.e+]+ MiB of memory, of which there are \d+; use larger"
    ):
        check_memory(load_phantom("head", {"voxel_size": 0.01}), protocol)


def test_seeds_are_distinct():
    with pytest.raises(QsmbenchError, match=r"datasets.0.seeds is \[0, 0\]: 0 is listed twice"):
        config.parse(replaced(STUDY, ("datasets", 0, "seeds"), [0, 0]), "s.yaml")


def test_true_is_no_number():
    with pytest.raises(QsmbenchError, match="memory_limit is True: true and false are not among the values"):
        config.parse({**STUDY, "memory_limit": True}, "s.yaml")
