"""Sheets of panels: one scale of millimetres, within their width, names where they belong."""

import numpy as np
import pytest
from PIL import Image

from qsmbench.view.planes import Plane
from qsmbench.view.volumes import ACCENT, BLACK, DARK, MARGIN, Note, Panel, Row, compose, png, save

WIDE, TALL = ((-50, 50), (-20, 20), (-20, 20)), ((-20, 20), (-50, 50), (-20, 20))


def panel(box=WIDE, value=1.0, **more):
    """An axial panel of one value."""
    return Panel(Plane("axial", 0, box), np.full((8, 8), value), (0, 1), **more)


def white(sheet):
    """The first and the last row and column that are white."""
    hits = np.argwhere((np.asarray(sheet) == 255).all(axis=-1))
    return (*hits.min(axis=0), *hits.max(axis=0))


@pytest.mark.parametrize("width", [300, 641])
def test_the_widest_row_fills_the_width(width):
    rows = [Row((panel(), panel(TALL)), "row", "ppm"), Row((panel(),))]
    assert abs(compose(rows, width).width - width) <= 1


def test_all_panels_have_one_scale():
    top, left, bottom, right = white(compose([Row((panel(),)), Row((panel(TALL, 0.5),))], 228))
    assert (right - left + 1, bottom - top + 1) == (200, 80)
    assert (top, left) == (MARGIN, MARGIN)
    low = compose([Row((panel(),))], 228, tallest=40)
    assert (np.ptp(white(low)[1::2]) + 1, np.ptp(white(low)[::2]) + 1) == (100, 40)


def test_nan_is_background():
    nothing = Row((panel(value=np.nan),))
    assert (np.asarray(compose([nothing], 228))[60, 60] == DARK).all()
    assert (np.asarray(compose([nothing], 228, background=BLACK)) == BLACK).all(axis=-1).mean() > 0.9


def test_a_leader_line_leads_to_its_point_and_an_outline_follows_its_shape():
    note = Note("vein", (-25.0, 10.0, 0.0), (-40, 20))
    plain, noted = (np.asarray(compose([Row((panel(notes=n),))], 228), int) for n in ((), (note,)))
    changed = np.argwhere((plain != noted).any(axis=-1))
    point = np.array([MARGIN + 20, MARGIN + 150])  # 10 mm below the front, 75 mm from the right, 2 pixels a mm
    assert np.abs(changed - point).max(axis=1).min() <= 1
    assert changed[:, 1].max() <= point[1] + 2 and changed[:, 0].max() > point[0] + 15

    shape = np.zeros((8, 8), bool)
    shape[2:6, 2:6] = True
    drawn = np.asarray(compose([Row((panel(value=0.0, outline=shape),))], 228), int)
    top, left = np.argwhere(np.abs(drawn - ACCENT).max(axis=-1) < 60).min(axis=0)
    assert (top - MARGIN, left - MARGIN) == pytest.approx((20, 50), abs=1)


def test_titles_footers_and_bars_need_no_more_than_they_say(tmp_path):
    row = Row((panel(title="axial"),), "truth", "ppm")
    sheet = compose([row], 400, title="x" * 500, footer="right is left", letters=13)
    assert sheet.width == 640  # a title has room
    save(sheet, tmp_path / "new" / "p.webp")
    with Image.open(tmp_path / "new" / "p.webp") as picture:
        assert picture.size == sheet.size
    assert png(sheet).startswith(b"\x89PNG")
