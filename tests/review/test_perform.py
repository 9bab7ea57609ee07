"""A review from the list to the page, on small studies."""

import csv
import math

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.report.review import Effect, Line, write_review
from qsmbench.review.claims import load_claims
from qsmbench.review.evaluate import FAILED, NOT_RUN
from qsmbench.review.lines import comparisons, line_of
from qsmbench.review.perform import perform

LIST = """
review: an invented review
scales:
  quick: {voxel_size: 4, subjects: 3}
  full: {voxel_size: 3, subjects: 3}
experiments:
  sphere:
    phantom: sphere
    people: none
    set_protocol: {shim_order: 0}
    probes: {pole: [0, 0, 24], equator: [24, 0, 0]}
    arms: {one: {}}
  broken:
    phantom: sphere
    people: none
    arms: {one: {set: {radius: nonsense}}}
  layered:
    phantom: LAYERED
    people: none
    quick: {voxel_size: 2}
    arms: {one: {}}
tables:
  - title: Images compared
    place: Table
    images:
      - {name: the truth, artifact: chi, chain: truth, made_from: nothing}
      - {name: field, artifact: total_field, chain: romeo.fit, made_from: phase}
    quantities:
      - &mean
        label: mean of the group
        experiment: layered
        of: {metric: group_mean, region: soft}
        arms: {3 T: one}
        only: [the truth]
      - {<<: *mean, label: ratio, over: {3 T: one}}
      - label: pole
        experiment: sphere
        of: {metric: probe, region: pole}
        arms: {3 T: one}
        chains: {the truth: romeo.fit}
      - {label: of a study that fails, experiment: broken, of: {region: ball}, arms: {3 T: one}}
claims:
  - &first
    id: lobes
    number: 1
    claim: The field is up at the pole
    place: Figure 2
    kind: emerging
    experiment: sphere
    chains: [romeo.fit]
    rules:
      - {rule: tolerance, of: {metric: probe, artifact: total_field, region: pole}, inside: [0, null], unit: ppm}
      - {rule: tolerance, of: {metric: probe, artifact: total_field, region: equator}, inside: [null, 0], unit: ppm}
  - <<: *first
    id: turned
    number: 2
    rules: [{rule: tolerance, of: {metric: probe, artifact: total_field, region: pole}, inside: [null, 0]}]
  - <<: *first
    id: nothing-there
    number: 3
    rules: [{rule: tolerance, of: {region: putamen}, inside: [0, null]}]
  - {<<: *first, id: cannot-start, number: 4, experiment: broken}
  - <<: *first
    id: group
    number: 6
    experiment: layered
    chains: [truth]
    rules:
      - {rule: tolerance, of: {metric: group_mean, region: soft}, inside: [0.199, 0.201]}
      - {rule: tolerance, of: {metric: group_sd, region: soft}, inside: [0.099, 0.101]}
  - {id: beyond, number: 5, claim: c, place: p, kind: fed in, cannot: there is no phantom of it}
"""

LAYERED = """# Two halves of a box, of one group.
kind: shapes
field_of_view: {lower: [-20, -20, -20], upper: [20, 20, 20]}
voxel_size: 2
mask: {shape: box, half: [19, 19, 19]}
background: water
layers:
  - region: low
    group: soft
    shape: {shape: box, center: [0, 0, -6], half: [12, 12, 6]}
    material: {chi: 0.1, t1: 1, r2star: 20}
  - region: high
    group: soft
    shape: {shape: box, center: [0, 0, 6], half: [12, 12, 6]}
    material: {chi: 0.3, t1: 1, r2star: 20}
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """The list, what is found after each study, and the folder."""
    folder = tmp_path_factory.mktemp("review")
    file = folder / "claims.yaml"
    (folder / "layered.yaml").write_text(LAYERED)
    file.write_text(LIST.replace("LAYERED", str(folder / "layered.yaml")))
    review = load_claims(file)
    return review, list(perform(review, review.claims, "quick", folder / "quick", cores=1)), folder / "quick"


@pytest.fixture(scope="module")
def judged(states):
    review, found, folder = states
    return review, found[-1], folder


def test_each_study_adds_its_verdicts(states):
    _, found, _ = states
    assert [f.complete for f in found] == [False] * (len(found) - 1) + [True] and len(found) > 1
    seen = set()
    for state in found:
        assert state.new
        seen |= {o.claim.id for o in state.new}
        waiting = {o.claim.id for o in state.outcomes if "yet to run" in o.reason}
        assert waiting == {o.claim.id for o in state.outcomes if o.claim.experiment} - seen


def test_verdicts_of_a_sphere(judged):
    outcomes = judged[1].outcomes
    assert [o.verdict for o in outcomes] == ["supported", "contradicted", "undecided", FAILED, "supported", NOT_RUN]
    pole, equator = (p.effect for p in outcomes[0].parts)
    # 2/3 and −1/3 of Δχ (a/r)³; a shim of order 0 adds the same to both, and voxels of 4 mm blur
    assert pole - equator == pytest.approx((16 / 24) ** 3, rel=0.05)


def test_mean_and_deviation_of_a_group(judged):
    """Two equal halves of 0.1 and 0.3 ppm: 0.2 ± 0.1 ppm."""
    outcomes = judged[1].outcomes
    assert [p.effect for p in outcomes[4].parts] == pytest.approx([0.2, 0.1], abs=1e-4)


def test_one_failing_study_is_a_row_with_its_reason(judged):
    outcomes = judged[1].outcomes
    assert "radius" in outcomes[3].reason
    assert outcomes[5].reason == "there is no phantom of it"


def test_the_page_and_the_table(judged):
    review, found, folder = judged
    lines = [line_of(review, o, folder) for o in found.outcomes]
    page = write_review(lines, folder, review=review.review, scale="small", tables=comparisons(review, found.cells))
    html = page.read_text()
    assert "in this phantom" in html
    assert "http://" not in html.replace("http://www.w3.org", "") and "<script src" not in html
    assert html.count("data:image/webp;base64,") >= 2  # pictures of the maps that decided
    assert html.index('id="lobes"') < html.index('id="turned"')
    with (folder / "claims.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["verdict"] for r in rows if r["id"] == "turned"} == {"contradicted"}
    assert [r["note"] for r in rows if r["id"] == "beyond"] == ["there is no phantom of it"]


def test_the_tables_hold_means_over_subjects(judged):
    """0.2 ppm in the group of 0.1 and 0.3; the field at the pole is that of the claim; a failed study has no row."""
    review, found, folder = judged
    (table,) = comparisons(review, found.cells)
    values = {(label, name): x.value for label, _, _, row in table.rows for name, x in row.items()}
    assert values["mean of the group", "the truth"] == pytest.approx(0.2, abs=1e-4)
    assert values["ratio", "the truth"] == 1
    assert values["pole", "field"] == found.outcomes[0].parts[0].effect
    assert ("mean of the group", "field") not in values and ("of a study that fails", "field") not in values
    write_review([], folder / "tables", review="r", scale="s", tables=[table])
    with (folder / "tables" / "tables.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["quantity"] for r in rows] == ["mean of the group", "ratio", "pole", "pole"]
    assert float(rows[0]["value"]) == pytest.approx(0.2, abs=1e-4) and rows[0]["subjects"] == "3"


@pytest.mark.parametrize(
    ("spoilt", "by", "named"),
    [
        ("experiment: layered\n        of", "experiment: layerd\n        of", "experiment 'layerd' is unknown"),
        ("arms: {3 T: one}\n        only", "arms: {3 T: two}\n        only", "arm 'two' is unknown"),
        ("over: {3 T: one}", "over: {7 T: one}", "over must name the field strengths of arms, 3 T"),
        ("only: [the truth]", "only: [the trut]", "image 'the trut' is unknown"),
        ("label: ratio", "label: pole", "two quantities of 'Images compared' are called 'pole'"),
        ("of: {region: ball}", "of: {region: ball, statistic: cnr}", "the cnr needs a second region"),
    ],
)
def test_a_table_that_names_what_is_not_there_is_refused(tmp_path, spoilt, by, named):
    (tmp_path / "claims.yaml").write_text(LIST.replace(spoilt, by))
    with pytest.raises(QsmbenchError, match=named):
        load_claims(tmp_path / "claims.yaml")


def test_a_number_that_does_not_exist_is_a_dash(tmp_path):
    effect = Effect("x", "a", "mean", "ppm", math.nan, math.nan, math.nan, 1, (0.0, math.inf), "undecided", "too few")
    line = Line("one", 1, "<b>claim</b>", "p", "emerging", "undecided", effects=[effect])
    html = write_review([line], tmp_path, review="r", scale="s").read_text()
    assert "&lt;b&gt;claim&lt;/b&gt;" in html
    assert "nan" not in html.split("</style>")[-1].split("<script")[0]
    assert effect.text == "–"
    assert effect.wanted == "above 0"
