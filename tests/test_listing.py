"""What `qsmbench list` shows: complete, described, and whole at 80 columns."""

import re
import textwrap

import pytest
from rich.cells import cell_len

from qsmbench.cli_show import print_listing
from qsmbench.errors import QsmbenchError
from qsmbench.listing import LISTS, listings, unit_in
from qsmbench.phantom.load import load
from qsmbench.phantom.load import names as phantom_names
from qsmbench.run import registry
from qsmbench.scan.protocol import load_protocol, protocols


def rows(what, name=None, **overrides):
    return [row for listing in listings(what, name, overrides) for row in listing.rows]


@pytest.mark.parametrize("method", [*registry.names(), "tv+lcurve", "tgv+discrepancy"])
def test_every_setting_of_every_method_is_listed_with_its_default_and_meaning(method):
    found = {row[0]: row for row in rows("settings", method)}
    settings = registry.find(method).settings
    assert list(found) == list(settings)
    for name, (_, default, _, meaning) in found.items():
        assert len(meaning) > 10, name
        if isinstance(settings[name], float):
            assert float(default) == settings[name]


@pytest.mark.parametrize(
    ("method", "setting", "unit"),
    [
        ("vsharp", "radius_max", "mm"),
        ("tv", "regularisation", "ppm·mm"),
        ("l1_qsm", "regularisation", "mm"),
        ("cgls", "regularisation", "–"),
        ("tkd", "threshold", "–"),
        ("medi", "penalty", "mm/ppm"),
        ("star", "source", "ppm"),
        ("tgv_qsm", "alpha0", "ppm·mm²"),
        ("tfi", "smallest", "ppm/mm"),
        ("wh_qsm", "harmonic_weight", "mm⁴"),
        ("arlo", "r2star_max", "1/s"),
        ("chi_separation", "relaxivity", "1/s/ppm"),
        ("chi_separation", "weight", "–"),
        ("r2star_nonlinear", "noise", "a.u."),
        ("laplacian", "pad", "mm"),
        ("tv", "max_iterations", "–"),
    ],
)
def test_units_of_settings(method, setting, unit):
    """By the definition of each; a penalty has the unit of the gradient's weight over the data's."""
    assert {row[0]: row[2] for row in rows("settings", method)}[setting] == unit


def test_a_length_in_a_built_in_method_has_a_unit():
    for method in registry.names():
        for name, _, unit, _ in rows("settings", method):
            if re.search(r"radius|width$|^pad$|^closing$|^opening$", name) and name != "edge_width":
                assert unit == "mm", (method, name)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("longest side, mm", "mm"),
        ("limits, ppm, see there", "ppm"),
        ("size, mm along each axis", "mm"),
        ("the longest of many", "–"),
        ("values of T", "–"),
    ],
)
def test_unit_in_a_text(text, unit):
    assert unit_in(text) == unit


def test_settings_of_a_file_are_those_of_its_docstring(tmp_path):
    """Its code is not run in this process."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent('''
        from qsmbench.method import method

        @method(produces="chi", reference="test")
        def mine(local_field, mask, *, strength=2.0, pad=20.0):
            """Scale the field.

            Args:
                strength: factor of the field, mm.
            """
            return strength * local_field
        ''')
    )
    assert rows("settings", str(tmp_path / "mine.py")) == [
        ("strength", "2", "mm", "factor of the field, mm"),
        ("pad", "20", "mm", "zeros around the bounding box of the mask, mm along each axis"),
    ]


def test_regions_are_those_of_the_description():
    assert rows("regions", "sphere") == [("sphere", "1", "–")]
    head = {name: group for name, _, group in rows("regions", "head")}
    assert head["substantia_nigra"] == head["putamen"] == "dgm"
    assert "haematoma" not in head
    assert ("haematoma", "lesion") in {(name, group) for name, _, group in rows("regions", "haemorrhage")}


def test_labels_of_regions_are_those_of_the_rendered_image():
    sphere = load("sphere", {"voxel_size": 6})
    labels = sphere.render(sphere.grid(), 3.0).labels
    centre = tuple(n // 2 for n in labels.shape)
    assert labels[centre] == int(rows("regions", "sphere")[0][1])


def test_sources_have_all_keys_with_unit_and_meaning():
    """Units as in `phantoms/sources.csv`, by which the doses act."""
    shown = listings("sources", None, {})
    titles = [listing.title.partition(".")[0] for listing in shown]
    kinds = ("iron", "calcification", "gadolinium", "myelin", "haemorrhage", "fat", "oxygenation")
    assert titles[:-1] == [f"source: {kind}" for kind in kinds]
    assert all(meaning for listing in shown for *_, meaning in listing.rows)
    units = {(title, row[0]): row[1] for title, listing in zip(titles, shown, strict=True) for row in listing.rows}
    assert units["source: iron", "dose"] == "µg/g" and units["source: iron", "chi"] == "ppm"
    assert units["source: calcification", "density"] == "mg/ml" and units["source: calcification", "hu"] == "HU"
    assert units["source: gadolinium", "concentration"] == "mmol/l"
    assert units["source: fat", "fraction"] == "–"
    assert {row[0] for row in shown[-1].rows} >= {"region", "side", "gradient", "at", "radii", "in", "count", "shape"}
    assert {row[0] for row in shown[-2].rows} == {"saturation", "oef", "scatter", "side", "vein"}


@pytest.mark.parametrize("phantom", phantom_names())
def test_every_key_of_a_phantom_is_listed_with_its_meaning(phantom):
    found = {row[0]: row for row in rows("keys", phantom)}
    description = load(phantom).description
    assert found.keys() >= (type(description).model_fields.keys() - {"kind", "parameters"})
    assert found.keys() >= description.parameters.keys()
    assert all(meaning for *_, meaning in found.values())
    assert found["voxel_size"][2] == f"[{', '.join(f'{v:g}' for v in description.voxel_size)}]"


def test_listed_keys_can_be_overridden():
    """The defaults that are shown, written as overrides, change nothing; the dotted keys are those of the YAML."""
    for key in ("voxel_size", "ambient_chi", "dr", "subject", "vessels.hct", "texture.seed", "cortex_level"):
        _, _, default, _ = {row[0]: row for row in rows("keys", "head")}[key]
        value = [float(v) for v in default.strip("[]").split(",")]
        value = value if len(value) > 1 else int(value[0]) if value[0].is_integer() else value[0]
        assert load("head", {key: value}).description == load("head").description, key


def test_a_scenario_has_the_key_case_and_its_own_defaults():
    found = {row[0]: row for row in rows("keys", "parkinson")}
    assert found["case"][1:3] == ("control | early | patient", "patient")
    assert found["age"][2] == "65"
    assert {row[0]: row for row in rows("keys", "parkinson", case="early")}["case"][2] == "early"


@pytest.mark.parametrize("protocol", protocols())
def test_every_key_of_a_protocol_is_listed_with_its_meaning(protocol):
    found = {row[0]: row for row in rows("keys", protocol)}
    assert found.keys() >= type(load_protocol(protocol)).model_fields.keys()
    assert {"readout.bandwidth", "grid.voxel_size", "motion.poses"} <= found.keys()
    assert not [name for name, *_, meaning in found.values() if not meaning]


@pytest.mark.parametrize("what", [*LISTS, "settings chi_separation", "regions head", "keys head"])
@pytest.mark.parametrize("width", [80, 200, 1000])
def test_tables_fit_and_nothing_is_cut(monkeypatch, capfd, what, width):
    monkeypatch.setenv("COLUMNS", str(width))
    what, _, name = what.partition(" ")
    for table in listings(what, name or None, {}):
        print_listing(table)
        out = capfd.readouterr().out
        assert max(map(cell_len, out.splitlines())) <= width
        if width == 1000:  # wide enough for every row
            assert len(out.splitlines()) == len(table.rows) + bool(table.columns) + bool(table.title)
        assert "…" not in out or any("…" in text for row in table.rows for text in row)
        letters = sorted(c for c in out if not c.isspace())
        wanted = sorted(c for text in (table.title, *table.columns, *sum(table.rows, ())) for c in text)
        assert letters == [c for c in wanted if not c.isspace()]


@pytest.mark.parametrize(
    ("what", "name", "overrides", "message"),
    [
        ("settings", None, {}, "list settings: name one, as in qsmbench list settings METHOD"),
        ("settings", "tvv", {}, "unknown method 'tvv'; choose from .*did you mean tv"),
        ("settings", "tv", {"a": 1}, "--set a: qsmbench list settings takes no --set"),
        ("regions", "hed", {}, "phantom 'hed' is unknown; choose from"),
        ("keys", "head", {"age": 300}, "age is 300; it must be"),
        ("methods", "tv", {}, "list methods: takes no name, but 'tv' was given"),
        ("things", None, {}, r"cannot list 'things'; choose from phantoms, .*sources, settings METHOD"),
    ],
)
def test_what_cannot_be_listed(what, name, overrides, message):
    with pytest.raises(QsmbenchError, match=message):
        listings(what, name, overrides)
