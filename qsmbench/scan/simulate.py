"""A phantom and a protocol → a noise-free scan and its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from qsmbench.data.folders import Params
from qsmbench.data.source_table import PlacedSource
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.placed import View, placed_sources
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import FAT, WATER, Species
from qsmbench.scan import b1, breathing, coils, motion, respiration, segments
from qsmbench.scan.blocks import majority, repeat
from qsmbench.scan.deformation import AtRest, Deformed, in_contraction
from qsmbench.scan.field import field_of
from qsmbench.scan.geometry import ScanGeometry, scan_geometry
from qsmbench.scan.harmonics import evaluate, fit
from qsmbench.scan.kspace import keep_measured, multiply_spectrum
from qsmbench.scan.memory import check_memory
from qsmbench.scan.noise import sigma_for
from qsmbench.scan.protocol import Protocol
from qsmbench.scan.readout import chemical_shift, distort, eddy_phase
from qsmbench.scan.signal import spoiled_gre
from qsmbench.scan.slab import properties_and_field
from qsmbench.scan.slices import profile, slice_mean
from qsmbench.scan.snr import region_mask, snr_of


@dataclass
class Simulation:
    """The noise-free signal of an acquisition, and its truth.

    Attributes:
        signal: (nx, ny, nz, n_echoes) complex64, for a coil of uniform sensitivity.
        mask: (nx, ny, nz) bool, voxels of which at least half is in the phantom's study mask.
        params: echo times, B0, grid.
        truth: artifacts by name on the scan's grid: chi, chi_para, chi_dia, total_field, local_field, r2star,
            r2, r2prime, labels, ct if there are calcifications, lic of livers, and if there is fat: fat_fraction,
            signal_fat_fraction, water_r2star, fat_r2star; sources if there are any; vein, vein_diameter, vein_angle,
            vein_name and oef if there are generated veins.
        regions: index, name and group of the labels.
        sources: the table of the object's sources.
        geometry: of the scan.
        sigma: of the noise in the real and imaginary parts of each coil; 0: no noise.
    """

    signal: np.ndarray
    mask: np.ndarray
    params: Params
    truth: dict[str, np.ndarray]
    regions: list[tuple[int, str, str]]
    sources: list[PlacedSource]
    geometry: ScanGeometry
    sigma: float


def local_source(chi: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return χ − mean of χ over the mask, inside the mask, and zero outside: the source of the local field.

    A uniform χ in the mask causes a field that is harmonic there, which no background removal can distinguish from the
    field of outside sources: without this reference, the local field would not be defined.
    """
    return np.where(mask, chi - np.float32(chi[mask].mean(dtype=float)), np.float32(0))


def simulate(phantom: Phantom, protocol: Protocol, orientation: int = 0) -> Simulation:
    """Simulate a scan on sub-voxels.

    Args:
        phantom: the object.
        protocol: the acquisition.
        orientation: index of the orientation of the head.

    Raises:
        QsmbenchError: the phantom's mask is empty on this grid, or the protocol has no such orientation.
    """
    protocol.check_orientation(orientation)
    check_memory(phantom, protocol)
    gap = protocol.slices.gap if protocol.slices else 0
    head = protocol.orientations[orientation]
    geometry = scan_geometry(
        phantom.grid(), phantom.supersampling, protocol.grid, gap=gap, head=head, isocentre=protocol.isocentre
    )
    grid, factor = geometry.grid, geometry.factor
    fine, weight = grid.refine(factor), _slice_weight(protocol, geometry)
    properties, field = properties_and_field(phantom, fine, protocol.b0)
    mask = slice_mean(properties.mask, factor, weight) >= 0.5
    if not mask.any():
        raise QsmbenchError(
            f"phantom {phantom.name}: no voxel of {grid.voxel_size} mm is in its mask; use smaller voxels"
        )
    shim = fit(slice_mean(field, factor, weight), mask, grid, protocol.shim_order)
    _subtract_shim(shim, field, fine)
    truth = _truth(properties, field, mask, fine, factor, weight)
    if (ct := phantom.ct(fine)) is not None:
        truth["ct"] = slice_mean(ct, factor, weight)
    if (lic := phantom.liver_iron(truth["labels"])) is not None:
        truth["lic"] = lic
    if FAT in properties.present:
        truth |= _truth_of_fat(field, properties, geometry, protocol)
    sources: list[PlacedSource] = []
    volumes = np.bincount(properties.labels.ravel(), minlength=256) * fine.voxel_volume
    if (placed := placed_sources(phantom, View(grid, truth["labels"], volumes), protocol.b0)) is not None:
        sources, truth["sources"] = placed
    truth |= phantom.vein_maps(grid)
    signal = _image_at_rest(field, properties, geometry, protocol)
    if protocol.motion:
        signal = _image_in_motion(signal, phantom, protocol, geometry, shim)
    if protocol.respiration or protocol.peristalsis:
        signal = _image_of_moving_organs(signal, phantom, protocol, geometry, shim)
    if protocol.breathing:
        signal = _image_in_breath(signal, protocol, grid)
    signal = keep_measured(signal, protocol.kspace)
    params = Params(np.array(protocol.te), protocol.b0, grid)
    sigma = _sigma(signal, truth["labels"], properties.regions, mask, protocol, geometry)
    return Simulation(signal, mask, params, truth, properties.regions, sources, geometry, sigma)


def _slice_weight(protocol: Protocol, geometry: ScanGeometry) -> np.ndarray | None:
    """Return the weight of each sub-slice in the truth of a slice; None: uniform."""
    if protocol.slices is None:
        return None
    flip, share = profile(protocol.slices, geometry.thickness, geometry.factor[2])
    return flip * share


def _subtract_shim(shim: np.ndarray, field: np.ndarray, fine: Grid) -> None:
    """Subtract the harmonics with coefficients `shim` from `field`, in place."""
    for start in range(0, fine.shape[0], 16):
        planes = slice(start, start + 16)
        field[planes] -= evaluate(shim, fine, planes)


def _truth(
    properties: Properties,
    field: np.ndarray,
    mask: np.ndarray,
    fine: Grid,
    factor: tuple[int, int, int],
    weight: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Return the true artifacts by name, each the mean over the voxel (or the excited slice) of its sub-voxels."""
    source = local_source(properties.chi, repeat(mask, factor))
    local = slice_mean(field_of(source, fine), factor, weight)
    r2, r2star = (properties.mean_over_species(name) for name in ("r2", "r2star"))
    para, dia = (slice_mean(part, factor, weight) for part in (properties.chi_para, properties.chi_dia))
    return {
        "chi": para - dia,
        "chi_para": para,
        "chi_dia": dia,
        "total_field": slice_mean(field, factor, weight),
        "local_field": np.where(mask, local, np.float32(0)),
        "r2star": slice_mean(r2star, factor, weight),
        "r2": slice_mean(r2, factor, weight),
        "r2prime": slice_mean(r2star - r2, factor, weight),
        "labels": majority(properties.labels, factor),
    }


def _truth_of_fat(
    field: np.ndarray, properties: Properties, geometry: ScanGeometry, protocol: Protocol
) -> dict[str, np.ndarray]:
    """Return the true artifacts that fat adds.

    The fat fraction is that of the protons; that of the signal at TE = 0 also depends on T1 and the flip angle. R2* of
    each species is the mean over its protons.
    """
    weight = _slice_weight(protocol, geometry)
    protons = {s: properties.protons(s) for s in properties.present}

    def mean(volume: np.ndarray) -> np.ndarray:
        return slice_mean(volume, geometry.factor, weight)

    density = {s: mean(p.pd) for s, p in protons.items()}
    start = {s: np.abs(_acquire(field, properties, s, geometry, protocol, np.zeros(1))[..., 0]) for s in protons}
    rates = {s: _ratio(mean(p.pd * p.r2star), density[s]) for s, p in protons.items()}
    return {
        "fat_fraction": _ratio(density[FAT], reduce(np.add, density.values())),
        "signal_fat_fraction": _ratio(start[FAT], reduce(np.add, start.values())),
        "water_r2star": rates[WATER],
        "fat_r2star": rates[FAT],
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 1e-6)


def _image_at_rest(field: np.ndarray, properties: Properties, geometry: ScanGeometry, protocol: Protocol) -> np.ndarray:
    """Return the image of an object at rest with complete k-space; (nx, ny, nz, n_echoes) complex64.

    If the readout has a bandwidth, each species is imaged separately, since their spectra displace them differently.
    """
    readout, te = protocol.readout, np.array(protocol.te)
    image = None
    if readout.bandwidth is None:
        for species in properties.present:
            image = _acquire(field, properties, species, geometry, protocol, te, out=image)
        assert image is not None
        return _apply_receive_phase(image, geometry, protocol)
    for species in properties.present:
        spectrum = properties.spectra[species]
        part = _acquire(field, properties, species, geometry, protocol, te, with_spectrum=False)
        part = _apply_receive_phase(part, geometry, protocol)
        if readout.distortion:
            mean = slice_mean(field, geometry.factor, _slice_weight(protocol, geometry))
            part = distort(part, mean, readout, protocol.b0)
        if not spectrum.is_reference:
            shift = chemical_shift(geometry.grid.shape[readout.along], spectrum, readout, te, protocol.b0)
            part = multiply_spectrum(part, shift, readout.along)
        image = part if image is None else np.add(image, part, out=image)
    assert image is not None
    return image


def _acquire(
    field: np.ndarray,
    properties: Properties,
    species: Species,
    geometry: ScanGeometry,
    protocol: Protocol,
    te: np.ndarray,
    *,
    with_spectrum: bool = True,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return the signal of one species at the echo times `te`, added to `out` if there is one."""
    slices, transmit = protocol.slices, protocol.b1.transmit if protocol.b1 else None
    return spoiled_gre(
        field,
        properties.protons(species),
        geometry.factor,
        te=te,
        tr=protocol.tr,
        flip_angle=protocol.flip_angle,
        b0=protocol.b0,
        with_spectrum=with_spectrum,
        profile=profile(slices, geometry.thickness, geometry.factor[2]) if slices else None,
        transmit=b1.evaluate(transmit, geometry.grid, geometry.isocentre) if transmit else None,
        out=out,
    )


def _apply_receive_phase(signal: np.ndarray, geometry: ScanGeometry, protocol: Protocol) -> np.ndarray:
    """Apply the scanner's phase and receive profile to the signal, in place, and return it."""
    grid = geometry.grid
    if protocol.phase_offset:
        offset = evaluate(np.array(protocol.phase_offset), grid)
        signal *= np.exp(1j * offset).astype(np.complex64)[..., None]
    if protocol.readout.eddy:
        signal *= np.exp(1j * eddy_phase(protocol.readout, len(protocol.te), grid))
    if protocol.b1 and protocol.b1.receive:
        signal *= b1.evaluate(protocol.b1.receive, grid, geometry.isocentre)[..., None]
    return signal


def _image_in_motion(
    still: np.ndarray, phantom: Phantom, protocol: Protocol, geometry: ScanGeometry, shim: np.ndarray
) -> np.ndarray:
    """Return the image of a moving head: each pose has its own field, and contributes its lines of k-space."""
    assert protocol.motion
    time, axes, total = _lines(protocol, geometry.grid)
    of_line = motion.pose_at(time, total, protocol.motion.poses)
    # the truth is the pose that measures the centre of k-space, with slices that of most of them
    poses = motion.poses(protocol.motion, geometry.isocentre, int(np.median(of_line[0, 0])))
    fine = geometry.grid.refine(geometry.factor)

    def states() -> Iterator[np.ndarray]:
        for pose in poses:
            if np.array_equal(pose, np.eye(4)):
                yield still
                continue
            properties, field = properties_and_field(phantom, motion.grid_in_pose(fine, pose), protocol.b0)
            _subtract_shim(shim, field, fine)
            yield _image_at_rest(field, properties, geometry, protocol)

    return segments.assemble(states(), of_line, axes)


def _image_of_moving_organs(
    still: np.ndarray, phantom: Phantom, protocol: Protocol, geometry: ScanGeometry, shim: np.ndarray
) -> np.ndarray:
    """Return the image of a trunk whose organs move: each state has its own field, and contributes its lines."""
    time, axes, _ = _lines(protocol, geometry.grid)
    of_line, states = _organ_states(protocol, time)
    fine = geometry.grid.refine(geometry.factor)

    farthest = max(abs(descent) for descent, _ in states) * (phantom.breath.farthest if protocol.respiration else 0)
    farthest += protocol.peristalsis.farthest if protocol.peristalsis else 0
    rest = AtRest(phantom, farthest)

    def images() -> Iterator[np.ndarray]:
        for descent, contraction in states:
            maps = [phantom.breath.times(descent)] if descent else []
            if contraction is not None:
                assert protocol.peristalsis
                maps.append(in_contraction(protocol.peristalsis, phantom, contraction))
            if not maps:
                yield still
                continue
            properties, field = properties_and_field(Deformed(rest, maps), fine, protocol.b0)
            _subtract_shim(shim, field, fine)
            yield _image_at_rest(field, properties, geometry, protocol)

    return segments.assemble(images(), of_line, axes)


def _organ_states(protocol: Protocol, time: np.ndarray) -> tuple[np.ndarray, list[tuple[float, int | None]]]:
    """Return the state of each line, and descent of the dome [mm] and number of the contraction in each state.

    Both are relative to the state in which the centre of k-space is measured, which is that of the truth: no descent,
    no contraction.
    """
    descent, contraction = np.zeros(time.shape), np.zeros(time.shape, int)
    if chosen := protocol.respiration:
        moved = respiration.position(chosen, time)
        step = np.ptp(moved) / chosen.states or 1.0
        descent = np.round((moved - np.median(moved[0, 0])) / step) * step
    if protocol.peristalsis:
        contraction = (time / protocol.peristalsis.period).astype(int)
        contraction -= int(np.median(contraction[0, 0]))
    pairs = np.stack([descent.ravel(), contraction.ravel()], axis=1)
    found, of_line = np.unique(pairs, axis=0, return_inverse=True)
    first = int(contraction.min())
    states = [(float(d), int(c) - first if c else None) for d, c in found]
    return of_line.reshape(time.shape), states


def _image_in_breath(still: np.ndarray, protocol: Protocol, grid: Grid) -> np.ndarray:
    assert protocol.breathing
    time, axes, _ = _lines(protocol, grid)
    te, b0 = np.array(protocol.te), protocol.b0
    states = (breathing.state(still, protocol.breathing, b, grid, te, b0) for b in range(breathing.BINS))
    return segments.assemble(states, breathing.depth(protocol.breathing, time), axes)


def _lines(protocol: Protocol, grid: Grid) -> tuple[np.ndarray, tuple[int, ...], float]:
    """Return time [s] and axes of the lines of k-space, and the duration of the scan [s]; see `segments.times`."""
    time, axes, total = segments.times(
        grid.shape, protocol.readout.along, protocol.kspace, protocol.tr, slices=protocol.slices is not None
    )
    if protocol.duration is not None:
        time, total = time * (protocol.duration / total), protocol.duration
    return time, axes, total


def _sigma(
    signal: np.ndarray,
    labels: np.ndarray,
    regions: list[tuple[int, str, str]],
    mask: np.ndarray,
    protocol: Protocol,
    geometry: ScanGeometry,
) -> float:
    """Return σ of the real and imaginary parts of each coil that gives the protocol's SNR, the same for all echoes."""
    if protocol.snr is None:
        return 0.0
    magnitude = np.abs(signal[..., :1])
    if protocol.coils:
        magnitude *= coils.root_sum_of_squares(protocol.coils, geometry.grid, geometry.isocentre)[..., None]
    slices = protocol.slices is not None
    snr = snr_of(protocol.snr, geometry, protocol.b0, protocol.readout, protocol.kspace, slices)
    return sigma_for(snr, magnitude, region_mask(protocol.snr.region, labels, regions, mask))
