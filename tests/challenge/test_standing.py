"""Who is ranked: in time, complete, one of each team, and frozen after the deadline."""

import csv
import json
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pytest
from challenge.conftest import SCANS
from html_page import Page, text_of

from qsmbench.challenge.board import board
from qsmbench.challenge.entries import submissions
from qsmbench.challenge.score import Record
from qsmbench.challenge.standing import standings
from qsmbench.errors import QsmbenchError

BEFORE, AFTER = datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)


@pytest.fixture
def private(event):
    """A private folder with a deadline, and nothing scored."""
    file = event.private / "challenge.yaml"
    file.write_text(file.read_text() + "deadline: 2027-03-01T12:00:00Z\n")
    return event


def scored(event, name, value, *, team="", received="2027-02-20T10:00:00+00:00", digest="", gone=(), **more):
    """Write the outcome of a submission as if it had been scored: NRMSE on each scan."""
    folder = event.private / "scores" / name
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(name, team or name, received, digest or name, "maps", **more)
    (folder / "submission.json").write_text(json.dumps(asdict(record)))
    for i, scan in enumerate(SCANS):
        rows = [
            {"metric": metric, "region": "", "support": "study", "value": v, "unit": unit, "reason": ""}
            for metric, v, unit in (("nrmse", value + i, "%"), ("correlation", 1 - value / 200, ""))
        ]
        content = {"rows": [], "reason": "damaged"} if scan in gone else {"rows": rows, "reason": ""}
        content |= {"notes": [], "digest": record.digest, "chain": "", "code": ""}
        (folder / f"{scan}.json").write_text(json.dumps(content))


def places(event, now=BEFORE, **more):
    return {s.record.name: s.place for s in standings(event.read, now, **more)[0]}


def test_each_place(private):
    scored(private, "good", 50)
    scored(private, "late", 40, received="2027-03-01T12:00:01+00:00")
    scored(private, "late-elsewhere", 40, received="2027-03-01T12:30:00-02:00")
    scored(private, "just", 45, received="2027-03-01T13:30:00+02:00")
    scored(private, "undated", 40, received="")
    scored(private, "part", 40, gone=SCANS[:1])
    scored(private, "broken", 40, gone=SCANS)
    scored(private, "link", 40, reason="is a link")
    assert places(private) == {
        "good": "ranked", "just": "ranked", "late": "late", "late-elsewhere": "late", "undated": "undated",
        "part": "incomplete", "broken": "refused", "link": "refused",
    }  # fmt: skip


@pytest.mark.parametrize(("counts", "ranked"), [("last", "b"), ("first", "a")])
def test_one_submission_of_a_team_counts_and_all_are_counted(private, counts, ranked):
    """A later one that is late or incomplete replaces none."""
    file = private.private / "challenge.yaml"
    file.write_text(file.read_text() + f"counts: {counts}\n")
    for name, time, gone in (("a", "20", ()), ("b", "22", ()), ("c", "24", SCANS[:1])):
        scored(private, name, 50, team="we", received=f"2027-02-{time}T10:00:00+00:00", gone=gone)
    scored(private, "d", 50, team="we", received="2027-03-05T10:00:00+00:00")
    found, _ = standings(private.read, BEFORE)
    assert [s.record.name for s in found if s.place == "ranked"] == [ranked]
    assert {s.place for s in found} == {"ranked", "repeated", "incomplete", "late"}
    assert [(s.attempt, s.attempts) for s in found] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_ranking_is_frozen_after_the_deadline(private):
    scored(private, "a", 50)
    scored(private, "b", 60)
    assert standings(private.read, BEFORE)[1] == ""
    _, frozen = standings(private.read, AFTER)
    assert frozen.startswith("2027-04-01")
    scored(private, "a", 90, digest="changed")  # another file in its place
    scored(private, "c", 10)  # a row of received.csv that was added
    scored(private, "d", 10, received="2027-04-02T10:00:00+00:00")
    found, again = standings(private.read, AFTER)
    ranked = {s.record.name: s.outcomes["sub-01"].rows[0]["value"] for s in found if s.place == "ranked"}
    assert ranked == {"a": 50, "b": 60} and again == frozen
    assert [(s.record.name, s.place) for s in found if s.place != "ranked"] == [
        ("a", "after the freeze"), ("c", "after the freeze"), ("d", "late"),
    ]  # fmt: skip


def rows_of(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_the_board_shows_ranks_intervals_and_ties(private, tmp_path):
    scored(private, "first", 50, title="Ours & yours", description="=1+1")
    scored(private, "same", 50)
    scored(private, "third", 60)
    scored(private, "late", 40, received="2027-03-02T10:00:00+00:00", title="=HYPERLINK(1)")
    page, _ = board(private.read, tmp_path / "board", BEFORE)
    rows = {r["submission"]: r for r in rows_of(tmp_path / "board" / "board.csv")}
    assert [rows[n]["rank"] for n in ("first", "same", "third", "late")] == ["1.5", "1.5", "3", ""]
    assert rows["late"]["title"] == "'=HYPERLINK(1)" and rows["late"]["place"] == "late"
    low, mean, high = (float(rows["third"][f"nrmse{end}"]) for end in ("_low", "", "_high"))
    logs = np.log([60, 61, 62])
    reach = 4.302653 * logs.std(ddof=1) / np.sqrt(3)  # Student's t of 2 degrees of freedom
    assert mean == pytest.approx(np.exp(logs.mean()), rel=1e-3)
    assert (low, high) == pytest.approx((np.exp(logs.mean() - reach), np.exp(logs.mean() + reach)), rel=1e-3)
    assert len(rows_of(tmp_path / "board" / "scores.csv")) == 4 * 3 * 2
    text = text_of(page.read_text())
    assert "Interim: the deadline is 2027-03-01" in text and "received after the deadline" in text
    assert "Ours & yours" in text and "set 2" in text and "all scans" in text


def test_texts_of_strangers_stay_texts(private, tmp_path):
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    scored(private, "mine", 50, title=script, description=script, team=script)
    scored(private, "other", 50, reason=script)
    board(private.read, tmp_path / "board", BEFORE)
    for file in (tmp_path / "board").rglob("*.html"):
        page = Page(file.read_text())
        assert page.tags.count("script") == 1 and "<script>alert" not in file.read_text()
        assert all(source.startswith("data:") for source in page.loads)
        assert not page.open


def test_every_submission_has_a_page_and_links_lead_somewhere(private, tmp_path):
    scored(private, "a", 50)
    scored(private, "b", 50, gone=SCANS)
    page, _ = board(private.read, tmp_path / "board", AFTER)
    for file in (tmp_path / "board").rglob("*.html"):
        found = Page(file.read_text())
        for link in found.links:
            assert link[1:] in found.ids if link.startswith("#") else (file.parent / link).is_file(), link
    assert (tmp_path / "board" / "submissions" / "b.html").is_file()
    assert "Frozen at 2027-04-01" in text_of(page.read_text())


def test_a_board_needs_scores_and_a_folder_of_its_own(private, tmp_path):
    with pytest.raises(QsmbenchError, match="no submission was scored"):
        board(private.read, tmp_path / "board", BEFORE)
    with pytest.raises(QsmbenchError, match="lies in the private folder"):
        board(private.read, private.private / "board", BEFORE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("submission,received\na,yesterday\n", "a time with its zone"),
        ("submission,received\na,2027-01-01T00:00\n", "a time with its zone"),
        ("submission,received\na,2027-01-01T00:00Z\na,2027-01-02T00:00Z\n", "twice"),
        ("submission,received\nb,2027-01-01T00:00Z\n", "no submission 'b'"),
        ("name,when\na,2027-01-01T00:00Z\n", "columns submission and received"),
    ],
)
def test_times_of_receipt_are_checked(tmp_path, text, message):
    (tmp_path / "a").mkdir()
    (tmp_path / "received.csv").write_text(text)
    with pytest.raises(QsmbenchError, match=message):
        submissions(tmp_path)
