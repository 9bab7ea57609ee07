"""Files and settings that are wrong, by accident or on purpose: refused in one line, before anything is written.

Each is a valid document of which one thing was replaced by something hostile, or text that no one would write.
"""

import json
import os
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
from qsmbench.data.bids import write_megre
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


WORDS = [
    *("", "x" * 300, "../../etc/passwd", "/etc/passwd", "nan", "-inf", "-1", "1e400", "[[[", "{a: b", "\x1b[31mred"),
    *("𝛘" * 100, "/dev/null", "pipe", "folder", "a\nb", "%s", ".", "null", "[]", "9" * 21, "a=b", "a..b", "*", "0,0,0"),
    *("&a [*a]", "!!python/name:os.system", "{source: bomb}", "[nan, nan]"),
]
COMMANDS = [
    ("plan CONFIG", 0),
    ("plan s.yaml --cores N", 2),
    ("simulate PHANTOM out", 0),
    ("simulate sphere out --protocol PROTOCOL", 3),
    ("simulate sphere out --orientation N", 3),
    ("simulate sphere out --format FORMAT", 3),
    ("simulate sphere out --set voxel_size={}", 3),
    ("simulate abdomen out --set voxel_size=8 --set liver_fat={}", 5),
    ("simulate abdomen out --set voxel_size=8 --set bmi={}", 5),
    ("simulate liver-iron out --set voxel_size=8 --set case={}", 5),
    ("simulate sphere out --protocol liver-3t --set-protocol te={}", 5),
    ("simulate sphere out --protocol brain-3t --set-protocol snr={}", 5),
    ("reconstruct CHAIN scan/scan out", 0),
    ("reconstruct zero SCAN out", 1),
    ("reconstruct truth.tkd scan/scan out --truth TRUTH", 4),
    ("reconstruct truth.tkd scan/scan out --truth scan/truth --set tkd.threshold={}", 6),
    ("reconstruct truth.tkd scan/scan out --truth scan/truth --time-limit N", 6),
    ("reconstruct truth.tkd scan/scan out --truth scan/truth --container ENGINE", 6),
    ("reconstruct zero scan/scan out --phase-unit UNIT", 4),
    ("reconstruct zero scan/scan out --phase-scale N", 4),
    ("reconstruct zero scan/scan out --b0-dir X", 4),
    ("reconstruct zero scan/scan out --entities E", 4),
    ("reconstruct zero scan/scan out --mask FILE", 4),
    ("plant SCAN out --source {}", 0),
    ("plant scan/scan out --source SOURCE", 3),
    ("plant scan/scan out --source {source:iron,chi:1,at:[0,0,0],radii:3} --tissue TISSUE", 5),
    ("score OUT scan/truth", 0),
    ("score scan/truth TRUTH", 1),
    ("score scan/truth scan/truth --without OUT", 3),
    ("tune truth.tkd SETTING scan --out t.yaml", 1),
    ("tune truth.tkd tkd.threshold scan --out t.yaml --metric METRIC", 6),
    ("report RESULTS page", 0),
    ("compare RESULTS a b", 0),
    ("check RESULTS --baseline b.parquet", 0),
    ("board RESULTS folder", 0),
    ("history FILE h.svg", 0),
    ("review CLAIM --plan", 0),
    ("review --plan --claims FILE", 2),
    ("challenge new CONFIG private", 1),
    ("challenge pack PRIVATE out", 1),
    ("challenge score PRIVATE submission", 1),
    ("challenge board PRIVATE out", 1),
    ("challenge reveal PRIVATE out", 1),
    ("challenge verify FOLDER --commitment FILE", 1),
    ("new-method NAME --produces chi", 0),
    ("new-method mine --produces ARTIFACT", 2),
    ("list WHAT", 0),
    ("list settings METHOD", 1),
    ("list keys PHANTOM", 1),
    ("export qsm-ci SIMULATION out", 1),
    ("export bids RESULTS out", 1),
]
"""Commands, and which of their words is replaced; `{}` is put into the word."""


@pytest.mark.parametrize("how_many", few(8))
def test_words_of_the_command_line(scan_folder, monkeypatch, capsys, how_many):
    """With a word that no one would write: one line and exit code 2, nothing written, nothing that a terminal obeys."""
    from qsmbench import cli

    monkeypatch.chdir(scan_folder)
    here, both = scan_folder, scan_folder / "simulation"
    both.mkdir()
    for name in ("scan", "truth"):
        (here / name).rename(both / name)
    both.rename(here / "scan")
    os.mkfifo(here / "pipe")
    (here / "folder").mkdir()
    as_yaml(STUDY, here / "s.yaml")
    content = {f: f.stat().st_mtime_ns for f in here.rglob("*")}

    @how_many
    @given(st.sampled_from(COMMANDS), st.sampled_from(WORDS))
    def try_one(command, word):
        verb, *words = command[0].split()
        group = [verb, words.pop(0)] if verb in ("challenge", "export") else [verb]
        place = command[1] - len(group) + 1
        words[place] = words[place].replace("{}", word) if "{}" in words[place] else word
        monkeypatch.setattr("sys.argv", ["qsmbench", *group, *words])
        start = time.monotonic()
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert time.monotonic() - start < 10
        said = capsys.readouterr().err
        if end.value.code != 0:  # some words are names, lists or numbers that are allowed
            assert end.value.code == 2, said
            assert said.count("\n") == 1
            assert said.strip().isprintable()
            assert {f: f.stat().st_mtime_ns for f in here.rglob("*")} == content

    try_one()


def test_a_scan_that_is_not_there_costs_no_earlier_map(scan_folder, tmp_path):
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct

    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "chimap.nii.gz").write_bytes(b"of an earlier run")
    for out in ("out", "new"):
        with pytest.raises(QsmbenchError, match="no such folder"):
            reconstruct("zero", tmp_path / "absent", tmp_path / out, limits=Limits(60), note=print)
    assert (tmp_path / "out" / "chimap.nii.gz").read_bytes() == b"of an earlier run"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("out", ["scan", "truth", "bids/.."])
def test_reconstruct_replaces_no_volume_of_others(scan_folder, small, monkeypatch, command, out):
    """It removes the products of an earlier run; a scan or a truth is none, nor is what lies in OUT/scan."""
    monkeypatch.chdir(scan_folder)
    write_megre(scan_folder / "bids", small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    before = {f: f.stat().st_mtime_ns for f in scan_folder.rglob("*.*")}
    code, _, said = command("reconstruct", "zero", "bids" if "/" in out else "scan", out)
    assert (code, said.count("\n")) == (2, 1) and "was not written by qsmbench reconstruct" in said
    assert {f: f.stat().st_mtime_ns for f in scan_folder.rglob("*.*")} == before


def test_a_folder_of_scans_is_told_from_one(scan_folder, small, monkeypatch, command):
    """As `simulate --format bids` writes several orientations."""
    monkeypatch.chdir(scan_folder)
    for i in (0, 1):
        root = scan_folder / "turned" / f"orientation-{i}"
        write_megre(root, small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    for named, inner in (("turned", "turned/orientation-0"), (".", "scan")):
        code, _, said = command("reconstruct", "zero", named, "out")
        assert (code, said.count("\n")) == (2, 1) and f"is not a scan, but holds one; name {inner}" in said


def test_reconstruct_replaces_its_own_products(scan_folder, monkeypatch, command):
    monkeypatch.chdir(scan_folder)
    for _ in range(2):
        assert command("reconstruct", "zero", "scan", "out")[0] == 0


@pytest.mark.parametrize(
    "words", [["reconstruct", "zero", "scan", ""], ["simulate", "sphere", ""], ["export", "bids", "scan", ""]]
)
def test_an_empty_argument_is_no_folder(scan_folder, monkeypatch, command, words):
    """As from a variable of the shell that is not set; as a path, it would be the working directory."""
    monkeypatch.chdir(scan_folder)
    before = sorted(scan_folder.rglob("*"))
    code, _, said = command(*words)
    assert (code, said.count("\n")) == (2, 1) and f"argument {len(words)} is empty" in said
    assert sorted(scan_folder.rglob("*")) == before


@pytest.mark.parametrize("words", ["plan {}", "review --plan --claims {}", "challenge new {} private"])
@pytest.mark.parametrize("file", ["pipe", "/dev/zero"])
def test_what_never_ends_is_not_read(tmp_path, command, monkeypatch, words, file):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    code, _, said = command(*words.format(file).split())
    assert (code, said.count("\n")) == (2, 1)
    assert f"{file}: is not YAML that can be used (it is no plain file)" in said


def test_tables_and_sidecars_that_never_end(tmp_path):
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    with pytest.raises(QsmbenchError, match=r"endless.json: is no plain file"):
        folders.read_json(tmp_path / "endless.json")


def test_sources_of_the_command_line_are_read_with_the_same_limits():
    from qsmbench.study.plant import read_sources

    for text in (BOMB, "a: " + "[" * 2000, "{a: .nan}"):
        with pytest.raises(QsmbenchError, match="is not YAML that can be used") as refusal:
            read_sources([text])
        assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("option", ["--tr inf", "--tr 0", "--tr -1", "--flip-angle nan", "--flip-angle 400"])
def test_plant_refuses_before_it_writes(scan_folder, monkeypatch, command, option):
    monkeypatch.chdir(scan_folder)
    source = "{source: iron, chi: 1, at: [0,0,0], radii: 3}"
    code, _, said = command("plant", "scan", "out", "--source", source, *option.split())
    assert (code, said.count("\n")) == (2, 1)
    assert "must be above 0 and at most" in said
    assert not (scan_folder / "out").exists()


def test_a_path_is_printed_as_it_is(tmp_path, monkeypatch, command):
    """Brackets are markup to rich."""
    place = tmp_path / "a [red] b"
    place.mkdir()
    monkeypatch.chdir(place)
    code, out, _ = command("simulate", "sphere", "out", "--set", "voxel_size=10")
    assert (code, out.strip()) == (0, f"Scan and truth: {place / 'out'}")


def test_voxels_of_a_scan_are_no_larger_than_a_hand():
    for size in (51, 1e21, [1, 1, 60]):
        with pytest.raises(QsmbenchError, match="less than or equal to 50"):
            load_phantom("sphere", {"voxel_size": size})
