"""The gallery: example pictures in docs/gallery/, and the page docs/gallery.md that shows them.

    make gallery          or: python docs/gallery.py [--voxel-size 2] [PICTURE …]

Each picture is a function below; its docstring is its heading and its caption. True maps are rendered in single planes.
Magnitude, phase and field need the whole head, which is simulated once, by default with 1 mm voxels (7 GB of memory).
"""

from __future__ import annotations

import argparse
import inspect
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.layers import ShapePhantom
from qsmbench.phantom.load import cases as cases_of
from qsmbench.phantom.load import load
from qsmbench.scan.acquired_mask import AcquiredMask, acquired
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import Simulation, simulate
from qsmbench.units import rad_per_ppm
from qsmbench.view.planes import Box, Plane, radiological
from qsmbench.view.volumes import BLACK, Note, Panel, Row, compose, save

DOCS = Path(__file__).parent
CHI, R2STAR, WRAPPED = (-0.1, 0.2), (0.0, 60.0), (-np.pi, np.pi)
TE = 0.025
"""Echo time of the pictures [s]."""

BRAIN: Box = ((-74, 74), (-110, 76), (-54, 84))
HEAD: Box = ((-90, 90), (-124, 102), (-76, 98))
"""Bounding boxes of the brain and of the head [mm]."""

TRUNK: Box = ((-190, 190), (-125, 135), (-250, 155))
LARGE: Box = ((-250, 250), (-160, 260), (-250, 155))
"""Bounding boxes of the trunk, and of an obese one [mm]."""

REVIEW = "Harada et al. 2022, doi:10.1148/rg.210054"


# Shared by several pictures


@cache
def scan(voxel: float) -> Simulation:
    """Simulate the head by `brain-3t`, one echo, with noise."""
    return acquired_as({"te": [TE]}, voxel=voxel, parts=2)


def acquired_as(changes: dict, protocol: str = "brain-3t", voxel: float = 2, parts: int = 1) -> Simulation:
    """Simulate the head by a protocol with changes, with noise."""
    chosen = load_protocol(protocol, changes)
    s = simulate(phantom("head", voxel_size=voxel, supersampling=parts), chosen)
    s.signal = received(s.signal, chosen, s.params.grid, s.geometry.isocentre, s.sigma, seed=0)
    return s


def chi(name: str, plane: Plane, pixel: float = 1, thickness: float | None = None, **overrides: object) -> np.ndarray:
    """Render true χ of a phantom, or of a scenario's `case`, in a plane; NaN outside of the brain."""
    grid = plane.grid(pixel, thickness)
    found = phantom(name, **overrides).render(grid, 3.0)
    return plane.cut(np.where(found.mask, found.chi, np.nan), grid)


def phantom(name: str, **overrides: object) -> Phantom:
    """Load a phantom or a case of a scenario, with a shared atlas.

    An atlas takes much longer than a plane. It determines where lesions are scattered, so cases of the same age share
    one. Without scattered lesions it only places the texture, so the atlas of the head is used for all ages.
    """
    found = load(name, overrides)
    scattered = any(getattr(source, "in_", None) for source in found.description.sources)
    vars(found)["atlas"] = replace(atlas(name if scattered else "head"), warp=found.warp)
    return found


@cache
def atlas(name: str) -> Atlas:
    """Return the atlas of a phantom, or of the last case of a scenario."""
    return load(name).atlas


def brain_plane(name: str, at: float) -> Plane:
    """Return a plane through the brain."""
    return Plane(name, at, BRAIN)


def draw(rows: list[Row], path: Path, width: int) -> None:
    """Draw rows of panels into a file."""
    save(compose(rows, width, background=BLACK), path)


def scan_panel(voxel: float, plane: Plane, volume: np.ndarray, span: tuple[float, float], title: str = "") -> Panel:
    """Return the panel of a plane of a volume on the scan's grid."""
    return Panel(plane, plane.cut(volume, scan(voxel).params.grid), span, title)


# The pictures


def abdomen(voxel: float, path: Path) -> None:
    """An abdomen at 3 T

    1.5 × 1.5 × 3 mm voxels, `abdomen-3t` with echoes of 1.15 and 2.3 ms and noise (SNR 30 in the liver): true χ
    (−0.5 to 0.8 ppm; gas and lung, 7 to 9 ppm, are white), magnitude in and opposed phase, true R2* (0 to 120 s⁻¹).
    From above: dome of the liver, kidneys and pancreas, third lumbar vertebra, pelvis, a coronal plane through portal
    vein and colon, one through the kidneys, a sagittal one through the right lobe.
    """
    chosen = load_protocol("abdomen-3t", {"te": [0.00115, 0.0023]})
    s = simulate(load("abdomen"), chosen)
    s.signal = received(s.signal, chosen, s.params.grid, s.geometry.isocentre, s.sigma, seed=0)
    opposed, together = np.abs(np.moveaxis(s.signal, -1, 0))
    bright = (0.0, float(np.quantile(together[s.mask], 0.995)))
    planes = [Plane("axial", z, TRUNK) for z in (62, 2, -72, -190)]
    planes += [Plane("coronal", y, TRUNK) for y in (40, -22)] + [Plane("sagittal", 58, TRUNK)]
    volumes = [(s.truth["chi"], (-0.5, 0.8), "χ, −0.5 to 0.8 ppm"), (together, bright, "in phase")]
    volumes += [(opposed, bright, "opposed phase"), (s.truth["r2star"], (0.0, 120.0), "R2*, 0 to 120 1/s")]
    rows = [
        Row(tuple(Panel(p, p.cut(v, s.params.grid), span, name) for v, span, name in volumes), p.title) for p in planes
    ]
    draw(rows, path, width=1000)


def breath_hold(voxel: float, path: Path) -> None:
    """A breath hold that fails

    Magnitude of the first echo and field of the last two (−2 to 2 ppm, in which fat is black), without noise, 3 × 3 ×
    5 mm: organs at rest; a hold of 18 s that fails after 12 s, in which the diaphragm creeps up and the bowel moves, as
    in `abdomen-failed-hold-3t`; and breathing throughout. A coronal plane and an axial one, at the pancreas.
    """
    courses: dict[str, dict] = {
        "at rest": {"respiration": None, "peristalsis": None},
        "hold of 12 s, then breaths": {},
        "breathing": {"respiration": {"hold": 0}, "peristalsis": None},
    }
    planes = Plane("coronal", 10, TRUNK), Plane("axial", 2, TRUNK)
    rows: list[list[Panel]] = [[] for _ in range(2 * len(planes))]
    for title, course in courses.items():
        chosen = load_protocol("abdomen-failed-hold-3t", {"grid.voxel_size": [3, 3, 5], "snr": None, **course})
        s = simulate(load("abdomen"), chosen)
        magnitude = np.abs(s.signal[..., 0])
        turn = np.angle(s.signal[..., -1] * np.conj(s.signal[..., -2])) / rad_per_ppm(
            s.params.b0, np.diff(s.params.te)[-1]
        )
        bright = (0.0, float(np.quantile(magnitude[s.mask], 0.995)))
        for k, plane in enumerate(planes):
            rows[2 * k].append(Panel(plane, plane.cut(magnitude, s.params.grid), bright, title))
            rows[2 * k + 1].append(
                Panel(plane, plane.cut(np.where(s.mask, turn, np.nan), s.params.grid), (-2.0, 2.0), title)
            )
    draw([Row(tuple(panels), planes[i // 2].title) for i, panels in enumerate(rows)], path, width=1000)


def bodies(voxel: float, path: Path) -> None:
    """Bodies

    True fat fraction (0 to 1) of trunks at the third lumbar vertebra, at the pancreas and in a coronal plane: body
    mass index 17, 24, 32 and 45 kg/m², a woman, and two subjects of the population, 1.5 mm.
    """
    people: dict[str, dict] = {f"BMI {bmi}": {"bmi": bmi} for bmi in (17, 24, 32, 45)}
    people |= {"woman": {"female": 1}, "subject 1": {"subject": 1}, "subject 2": {"subject": 2}}
    rows = []
    for plane in (Plane("axial", -72, LARGE), Plane("axial", 4, LARGE), Plane("coronal", 30, LARGE)):
        panels = []
        for title, who in people.items():
            grid = plane.grid(1.5, None)
            found = load("abdomen", {**who, "texture": None}).render(grid, 3.0)
            share = np.where(found.pd > 0.05, found.fat_fraction, 0)
            panels.append(Panel(plane, plane.cut(share, grid), (0.0, 1.0), title))
        rows.append(Row(tuple(panels), plane.title))
    draw(rows, path, width=1400)


def neck(voxel: float, path: Path) -> None:
    """A neck

    True χ (−0.4 to 0.6 ppm), R2* (0 to 120 s⁻¹), fat fraction (0 to 1) and proton density (0 to 1), 0.6 mm: the carotid
    bulbs, the larynx, the thyroid, and a sagittal plane. A plaque narrows the left bulb.
    """
    box: Box = ((-75, 75), (-72, 82), (-60, 60))
    planes = [Plane("axial", z, box) for z in (20, -14, -42)] + [Plane("sagittal", 0, box)]
    properties(load("carotid-plaque", {"case": "mixed"}), planes, 0.6, (-0.4, 0.6), path)


def plaques(voxel: float, path: Path) -> None:
    """Carotid plaques

    True χ, 0.3 mm, −0.4 to 0.6 ppm, of the scenario `carotid-plaque`: plaques of the left bulb, axial and sagittal. Fat
    is white; the lipid core has the χ of water, and does not show.
    """
    box: Box = ((-46, -8), (-10, 28), (-10, 42))
    rows = []
    for plane in (Plane("axial", 19, box), Plane("axial", 10, box), Plane("sagittal", -28.6, box)):
        grid = plane.grid(0.3, None)
        panels = []
        for case in cases_of("carotid-plaque"):
            found = load("carotid-plaque", {"case": case}).render(grid, 3.0)
            panels.append(Panel(plane, plane.cut(found.chi, grid), (-0.4, 0.6), case))
        rows.append(Row(tuple(panels), plane.title))
    draw(rows, path, width=1000)


def knee(voxel: float, path: Path) -> None:
    """A knee

    True χ (−0.1 to 0.1 ppm, so that the layers of cartilage show; marrow and fat are white), R2* (0 to 120 s⁻¹), fat
    fraction (0 to 1) and proton density (0 to 1), 0.5 mm.
    """
    box: Box = ((-62, 62), (-70, 72), (-66, 90))
    planes = [Plane("sagittal", 22, box), Plane("sagittal", 0, box), Plane("coronal", -6, box), Plane("axial", 36, box)]
    properties(load("knee"), planes, 0.5, (-0.1, 0.1), path)


def pelvis(voxel: float, path: Path) -> None:
    """Pelvis

    True χ (−0.3 to 0.6 ppm), R2* (0 to 120 s⁻¹), fat fraction (0 to 1) and proton density (0 to 1), 1.2 mm: a man at
    the prostate and the hips, and a sagittal plane.
    """
    box: Box = ((-184, 184), (-120, 122), (-70, 118))
    planes = [Plane("axial", -18, box), Plane("coronal", 0, box), Plane("sagittal", 2, box)]
    properties(load("prostate", {"case": "both"}), planes, 1.2, (-0.3, 0.6), path)


def pregnancy(voxel: float, path: Path) -> None:
    """Pregnancy

    The 22nd week, as above, but χ from −0.1 to 0.2 ppm: placenta at the back wall, fetus, amniotic fluid.
    """
    box: Box = ((-184, 184), (-120, 182), (-70, 232))
    planes = [Plane("axial", 130, box), Plane("coronal", 60, box), Plane("sagittal", 6, box)]
    properties(load("placenta", {"case": "control"}), planes, 1.2, (-0.1, 0.2), path)


def properties(found: Phantom, planes: list[Plane], pixel: float, span: tuple[float, float], path: Path) -> None:
    """Draw true χ in `span` [ppm], R2*, fat fraction and proton density of a phantom in planes."""
    rows = []
    for plane in planes:
        grid = plane.grid(pixel, None)
        maps = found.render(grid, 3.0)
        share = np.where(maps.pd > 0.05, maps.fat_fraction, 0)
        shown = [(maps.chi, span, "χ"), (maps.r2star, (0.0, 120.0), "R2*"), (share, (0.0, 1.0), "fat fraction")]
        shown.append((maps.pd, (0.0, 1.0), "proton density"))
        rows.append(Row(tuple(Panel(plane, plane.cut(v, grid), s, title) for v, s, title in shown), plane.title))
    draw(rows, path, width=1000)


def head(voxel: float, path: Path) -> None:
    """A head at 3 T

    {voxel:g} mm voxels, 3 T, `brain-3t`: true χ in the brain (−0.1 to 0.2 ppm), true R2* (0 to 60 s⁻¹), and
    magnitude and wrapped phase (−π to π) of an echo of 25 ms, with noise (SNR 100). From above: basal ganglia,
    midbrain with substantia nigra and red nucleus, cerebellum with dentate, a coronal plane through the nuclei, a
    sagittal one beside the midline. The contrast of χ is similar to that in Figure 4 of {review}.
    """
    planes = [Plane("axial", z, HEAD) for z in (2, -9, -33)] + [Plane("coronal", -13, HEAD), Plane("sagittal", 6, HEAD)]
    s = scan(voxel)
    magnitude = np.abs(s.signal[..., 0])
    brain = np.where(s.mask, s.truth["chi"], np.nan)
    volumes = [(brain, CHI, "χ, −0.1 to 0.2 ppm"), (s.truth["r2star"], R2STAR, "R2*, 0 to 60 1/s")]
    volumes += [(magnitude, (0, float(np.quantile(magnitude[s.mask], 0.995))), "magnitude, 25 ms")]
    volumes += [(np.angle(s.signal[..., 0]), WRAPPED, "phase, 25 ms, −π to π")]
    rows = [Row(tuple(scan_panel(voxel, p, v, span, name) for v, span, name in volumes), p.title) for p in planes]
    draw(rows, path, width=1000)


def series(voxel: float, path: Path) -> None:
    """The whole brain

    True χ, axial, every 5 mm (z in MNI space above each), {voxel:g} mm voxels, −0.1 to 0.2 ppm.
    """
    s = scan(voxel)
    brain = np.where(s.mask, s.truth["chi"], np.nan)
    panels = [scan_panel(voxel, brain_plane("axial", z), brain, CHI, f"{z:+d} mm") for z in range(-44, 72, 5)]
    draw([Row(tuple(panels[i : i + 8])) for i in (0, 8, 16)], path, width=1300)


def fields(voxel: float, path: Path) -> None:
    """Fields

    {voxel:g} mm voxels, ppm of B0, after the shim: the total field (−0.5 to 0.5), the background field from outside the
    brain (total minus local), and the local field (−0.05 to 0.05), from which susceptibility is computed. Similar to
    the steps in Figure 3 of {review}.
    """
    s = scan(voxel)
    total, local = (np.where(s.mask, s.truth[n], np.nan) for n in ("total_field", "local_field"))
    volumes = [
        (total, (-0.5, 0.5), "total"),
        (total - local, (-0.5, 0.5), "background"),
        (local, (-0.05, 0.05), "local"),
    ]
    planes = [brain_plane("axial", 2), brain_plane("coronal", -13), brain_plane("sagittal", 6)]
    rows = [Row(tuple(scan_panel(voxel, p, v, span, t) for v, span, t in volumes), p.title, "ppm") for p in planes]
    draw(rows, path, width=800)


def anatomy(voxel: float, path: Path) -> None:
    """Anatomy in small voxels

    True χ, 0.22 × 0.22 × 0.5 mm, −0.1 to 0.2 ppm, with the voxel size and the structures of Figure 8 of {review}.
    """
    nuclei: Box = ((-46, 46), (-52, 42), (-40, 42))
    back: Box = ((-46, 46), (-104, -10), (0, 0))
    below: Box = ((-46, 46), (-84, 10), (0, 0))
    basal = (
        Note("caudate", (13, 15, 3), (-60, -60)),
        Note("putamen", (26, 4, 3), (-60, -40)),
        Note("pallidum, external", (-20, -1, 3), (25, -85)),
        Note("pallidum, internal", (-15.5, -6, 3), (80, 15)),
        Note("mediodorsal thalamus", (-6, -17, 3), (60, 55)),
        Note("pulvinar", (14, -27, 3), (-70, 25)),
        Note("internal capsule", (22, -14, 3), (-35, 30)),
    )
    midbrain = (
        Note("substantia nigra", (11.5, -17, -9), (-50, -10)),
        Note("red nucleus", (-5, -21, -9), (50, 45)),
        Note("subthalamic nucleus", (-11, -12.5, -9), (40, -30)),
        Note("basal vein", (19, -24, -9), (-40, 50)),
    )
    coronal = (
        Note("subthalamic nucleus", (11.5, -13, -7), (-45, 60)),
        Note("substantia nigra", (-9, -13, -12), (50, 50)),
        Note("pallidum", (-23.5, -13, -1), (40, -30)),
        Note("internal cerebral vein", (2.3, -13, 14.3), (-90, -35)),
        Note("corpus callosum", (-4, -13, 26), (70, -30)),
    )
    visual = (
        Note("optic radiation", (33, -58, 5), (20, -90)),
        Note("stria of Gennari", (-9, -85, 5), (60, 60)),
        Note("vein of Galen", (0, -46, 5), (60, -50)),
    )
    pons = (Note("transverse fibres of the pons", (5, -16.5, -30), (50, -75)),)
    dentate = (Note("dentate", (17, -60, -34), (-40, 50)),)
    planes = (
        (Plane("axial", 3, nuclei), basal),
        (Plane("axial", -9, nuclei), midbrain),
        (Plane("coronal", -13, nuclei), coronal),
        (Plane("axial", 5, back), visual),
        (Plane("axial", -30, below), pons),
        (Plane("axial", -34, below), dentate),
    )
    panels = []
    for plane, notes in planes:
        thin = 0.5 if plane.name == "axial" else 0.22
        panels.append(Panel(plane, chi("head", plane, 0.22, thin), CHI, plane.title, notes=notes))
    draw([Row(tuple(panels[i : i + 3])) for i in (0, 3)], path, width=1500)


def veins(plane: Plane, thickness: float) -> np.ndarray:
    """Return the maximum χ of the veins (χ of the head minus χ of the head without veins) through `thickness` mm."""
    grid = plane.grid(0.4, 0.5, round(thickness / 0.5))
    full, bare = (load("head", changes).render(grid, 3.0) for changes in ({}, {"vessels": None}))
    return radiological(np.where(full.mask, full.chi - bare.chi, 0).max(plane.normal))


def venogram(voxel: float, path: Path) -> None:
    """Venogram

    Maximum intensity projection of the veins' χ (0 to 0.4 ppm) through 13 mm axial, 13 mm coronal and 12 mm sagittal
    slabs, voxels of 0.4 × 0.4 × 0.5 mm, similar to Figure 9 of {review}.
    """
    notes = (
        Note("deep medullary", (24, 20, 20), (-50, -70)),
        Note("septal", (2, 15, 20), (60, -85)),
        Note("thalamostriate", (-11, -3, 20), (105, -30)),
        Note("anterior caudate", (-12, 12, 20), (90, -75)),
        Note("internal cerebral", (2.3, -20, 20), (-120, 20)),
        Note("direct lateral", (-10, -20, 20), (110, 30)),
    )
    planes = [(brain_plane("axial", 17), 13), (brain_plane("coronal", -14), 13), (brain_plane("sagittal", 6), 12)]
    panels = [
        Panel(p, veins(p, t), (0.0, 0.4), f"{p.title}, {t} mm", notes=notes if p.name == "axial" else ())
        for p, t in planes
    ]
    draw([Row(tuple(panels), unit="ppm")], path, width=1500)


def ageing(voxel: float, path: Path) -> None:
    """Ageing

    True χ of one head at six ages (scenario `ageing`), 1 mm, −0.1 to 0.2 ppm, without veins, through basal ganglia,
    midbrain and dentate, similar to Figure 7 of {review}. Ventricles and sulci also widen with age.
    """
    planes = [Plane("axial", z, ((-48, 48), (y - 38, y + 38), (0, 0))) for z, y in ((2, 0), (-9, -15), (-34, -50))]
    rows = []
    for plane in planes:
        images = [chi("ageing", plane, case=f"age-{age}", vessels=None) for age in AGES]
        rows.append(
            Row(tuple(Panel(plane, i, CHI, f"{age} years") for i, age in zip(images, AGES, strict=True)), plane.title)
        )
    draw(rows, path, width=1200)


AGES = (5, 10, 20, 40, 60, 85)

BASAL: Box = ((-56, 56), (-58, 54), (-30, 60))
"""Bounding box of the deep grey matter [mm]."""


def compared(scenario: str, plane: Plane, cases: str, *, difference: float = 0, pixel: float = 1) -> Row:
    """Return panels of a scenario's `cases`, and of the last minus the first in ± `difference` [ppm] unless 0."""
    names = cases.split()
    images = [chi(scenario, plane, pixel, 1, case=c, vessels=None) for c in names]
    panels = [Panel(plane, i, CHI, c) for i, c in zip(images, names, strict=True)]
    if difference:
        title = f"{names[-1]} − {names[0]}, ± {difference:g} ppm"
        panels.append(Panel(plane, images[-1] - images[0], (-difference, difference), title))
    return Row(tuple(panels), scenario)


def iron(voxel: float, path: Path) -> None:
    """Iron and minerals in nuclei

    True χ, 1 mm, −0.1 to 0.2 ppm, without veins, of the cases of a scenario; on the right the last case minus the
    first. Similar to Figures 10 (NBIA), 11 (Fahr) and 12 (MSA-P) of {review}.
    """
    basal, midbrain, dentate = (
        Plane("axial", z, ((-48, 48), (y - 40, y + 40), (0, 0))) for z, y in ((1, 0), (-10, -15), (-34, -45))
    )
    rows = [
        compared("nbia", basal, "child adult nbia", difference=0.2),
        compared("nbia", midbrain, "child nbia mpan", difference=0.2),
        compared("parkinson", midbrain, "control early patient", difference=0.15),
        compared("gadolinium", dentate, "doses-0 doses-10 doses-30", difference=0.05),
        compared("psp", basal, "control patient", difference=0.1),
        compared("psp", midbrain, "control patient", difference=0.1),
        compared("msa-p", basal, "control patient", difference=0.1),
        compared("msa-c", dentate, "control patient", difference=0.05),
    ]
    whole = compared("fahr", brain_plane("axial", -3), "control patient", difference=0.5)
    draw([*(beside(*rows[i : i + 2]) for i in range(0, 8, 2)), whole], path, width=1300)


def beside(*rows: Row) -> Row:
    """Join rows side by side."""
    labels = dict.fromkeys(row.label for row in rows)
    return Row(tuple(panel for row in rows for panel in row.panels), "  |  ".join(labels))


def shifts(voxel: float, path: Path) -> None:
    """Changes of a few parts per billion

    Scenarios that can be detected only in groups: true χ of control and patient (1 mm, −0.1 to 0.2 ppm, without
    veins), and their difference. The changes are not visible in a single map.
    """
    basal = Plane("axial", 2, BASAL)
    motor, temporal = brain_plane("axial", 55), brain_plane("axial", -20)
    rows = [
        compared(s, basal, "control patient", difference=0.03) for s in ("wilson", "cirrhosis", "lupus", "depression")
    ]
    rows += [compared("autism", basal, "control patient", difference=0.03)]
    rows += [compared("alzheimer", temporal, "control patient", difference=0.01)]
    rows += [compared("als", motor, "control severe", difference=0.02)]
    draw([beside(*rows[i : i + 2]) for i in range(0, 8, 2)], path, width=1100)


def lesions(voxel: float, path: Path) -> None:
    """Lesions

    True χ, 1 mm, −0.1 to 0.2 ppm, without veins: a haematoma of the left putamen in its stages; plaques of multiple
    sclerosis by age, and of neuromyelitis optica, which are not visible; calcifications from faint to dense; bleeds on
    the right and calcifications on the left; microbleeds. Similar to Figures 4, 14 and 15 of {review}.
    """
    plane = brain_plane("axial", 4)
    rows = [
        compared("haemorrhage", plane, "control hyperacute acute early-subacute late-subacute chronic"),
        compared("multiple-sclerosis", replace(plane, at=MS), "control acute young rim chronic"),
        compared("calcifications", replace(plane, at=CALCIUM), "control faint dense"),
        compared("nmosd", replace(plane, at=NMO), "control patient"),
        compared("haemorrhage-or-calcification", replace(plane, at=BLEEDS), "control weak strong"),
        compared("microbleeds", replace(plane, at=MICRO), "control few many"),
    ]
    draw([rows[0], rows[1], beside(*rows[2:4]), beside(*rows[4:])], path, width=1200)


MS, CALCIUM, NMO, BLEEDS, MICRO = 29, 35, 19, 38.5, 27
"""Axial planes in which the scattered lesions of each scenario are visible [mm]."""


def tumours(voxel: float, path: Path) -> None:
    """Tumours

    True χ, 1 mm, −0.1 to 0.2 ppm, without veins: a left frontal oligodendroglioma with a club-shaped calcification, a
    meningioma at the falx with calcium and blood, a right temporal glioblastoma before and during treatment. The first
    two are similar to Figures 5 and 6 of {review}.
    """
    planes = {"oligodendroglioma": 21, "meningioma": 50, "glioblastoma-treated": 11}
    cases = {"glioblastoma-treated": "control before treated"}
    rows = [compared(n, brain_plane("axial", z), cases.get(n, "control tumour")) for n, z in planes.items()]
    draw([beside(*rows[:2]), rows[2]], path, width=900)


def acquisition(voxel: float, path: Path) -> None:
    """Acquisition effects

    3 T, 2 mm voxels, one effect at a time, exaggerated to be visible at this size. Upper row, magnitude at 20 ms: 3D;
    2D slices of 5 mm with gaps of 1 mm, dark over the sinuses and ear canals; a bandwidth of 80 Hz per pixel, which
    shifts fat forwards and distorts the image near air; half of k-space along each axis, with blur and ringing; noise
    at an SNR of 10. Lower row: the phase at TE = 0 extrapolated from the first two echoes, for a monopolar readout, and
    for a bipolar readout with eddy currents (−π to π); three poses of the head, 1.5 mm and 1.5° apart; the brain mask
    computed from the magnitude; a mask eroded by 2 mm, with holes where the last echo is dark.
    """
    plane = Plane("axial", -20, ((-92, 92), (-124, 100), (0, 0)))
    coarse = {"te": [0.020], "snr": None}
    two_d = {"te": [0.020], "snr": None, "grid.field_of_view": [192, 240, 18], "grid.center": [0, -12, -20]}
    readout = {"axis": "y", "bandwidth": 80, "distortion": True}
    plain, noisy = acquired_as(coarse), acquired_as({"te": [0.020], "snr": 10})
    shown = [
        ("3D", plain),
        ("2D, 5 mm, gap 1 mm", acquired_as(two_d, "t2star-2d-3t")),
        ("80 Hz per pixel", acquired_as({**coarse, "readout": readout})),
        ("half of k-space", acquired_as({**coarse, "kspace": {"fraction": [0.5, 0.5, 0.5]}})),
        ("SNR 10", noisy),
    ]
    upper = [magnitude_panel(plane, title, s) for title, s in shown]
    lower = [offset_panel(plane, "forwards", {"te": [0.003, 0.006]})]
    lower += [offset_panel(plane, "by turns", {"te": [0.003, 0.006], "readout": BIPOLAR})]
    moved = acquired_as({**coarse, "readout": {"axis": "y"}, "motion": {"poses": 3, "translate": 1.5, "rotate": 1.5}})
    lower.append(magnitude_panel(plane, "motion", moved))
    for title, mask in (("mask: magnitude", {"of": "magnitude"}), ("mask: eroded, holes", {"erode": 2, "holes": True})):
        found = acquired(AcquiredMask.model_validate(mask), noisy.mask, np.abs(noisy.signal), noisy.params.grid)
        outline = plane.cut(found, noisy.params.grid)
        lower.append(replace(upper[-1], title=title, outline=outline))
    draw([Row(tuple(upper)), Row(tuple(lower))], path, width=1300)


BIPOLAR = {"axis": "y", "bandwidth": 500, "polarity": "bipolar", "eddy": [0.2, 0.8, 0.3, 0.2]}


def magnitude_panel(plane: Plane, title: str, s: Simulation) -> Panel:
    """Return the panel of the first echo's magnitude, with white at the maximum of the brain."""
    magnitude = np.abs(s.signal[..., 0])
    top = float(np.quantile(magnitude[s.mask], 0.99))
    return Panel(plane, plane.cut(magnitude, s.params.grid), (0, top), title)


def offset_panel(plane: Plane, title: str, changes: dict) -> Panel:
    """Return the panel of twice the phase of the first echo minus that of the second, at twice the echo time."""
    s = acquired_as({**changes, "snr": None})
    offset = np.angle(s.signal[..., 0] ** 2 * np.conj(s.signal[..., 1]))
    shown = np.where(s.mask, offset, np.nan)
    return Panel(plane, plane.cut(shown, s.params.grid), WRAPPED, f"phase at TE = 0, {title}")


def population(voxel: float, path: Path) -> None:
    """Subjects

    True χ of eight subjects (`--set subject=1` …), 1 mm, −0.1 to 0.2 ppm, axial through the basal ganglia. Age, sex,
    volumes, shape, sulci, iron and myelin differ; blood and veins also differ, but are omitted here.
    """
    plane = Plane("axial", 2, ((-80, 80), (-114, 82), (0, 0)))
    panels = [person(plane, subject) for subject in range(1, 9)]
    draw([Row(tuple(panels[i : i + 4])) for i in (0, 4)], path, width=900)


def person(plane: Plane, subject: int) -> Panel:
    """Return the panel of a subject of the population."""
    person = phantom("head", subject=subject, vessels=None)
    assert isinstance(person, ShapePhantom) and person.person
    image = chi("head", plane, subject=subject, vessels=None)
    return Panel(plane, image, CHI, f"subject {subject}, {person.person.age:.0f} years")


PICTURES = (
    head,
    abdomen,
    breath_hold,
    bodies,
    neck,
    plaques,
    knee,
    pelvis,
    pregnancy,
    series,
    fields,
    anatomy,
    venogram,
    ageing,
    iron,
    shifts,
    lesions,
    tumours,
    acquisition,
    population,
)


def page(voxel: float) -> str:
    """Return the gallery page, built from the docstrings of the pictures."""
    lines = ["# Gallery", "", "Made by `make gallery`; do not edit. " + CONVENTION, ""]
    for picture in PICTURES:
        title, _, caption = inspect.getdoc(picture).partition("\n")  # type: ignore[union-attr]
        lines += [f"## {title}", "", f"![{title}](gallery/{picture.__name__}.webp)", ""]
        lines += [caption.strip().format(voxel=voxel, review=REVIEW), ""]
    return "\n".join(lines)


CONVENTION = (
    "Radiological convention: the patient's right is on the left. Susceptibility χ is in ppm (SI) relative to water."
)


def main() -> None:
    """Draw all or the named pictures, and write the page."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(main)).split("\n")[0])  # type: ignore
    parser.add_argument("--voxel-size", type=float, default=1.0, help="mm, of what is simulated")
    parser.add_argument("pictures", nargs="*", help="by default all: " + ", ".join(p.__name__ for p in PICTURES))
    options = parser.parse_args()
    for picture in PICTURES:
        if not options.pictures or picture.__name__ in options.pictures:
            print(picture.__name__, flush=True)
            picture(options.voxel_size, DOCS / "gallery" / f"{picture.__name__}.webp")
    (DOCS / "gallery.md").write_text(page(options.voxel_size))


if __name__ == "__main__":
    main()
