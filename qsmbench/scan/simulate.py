"""A phantom and a protocol → a noise-free scan and its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.properties import Properties
from qsmbench.phantom.species import FAT, WATER
from qsmbench.scan import b1, breathing, coils, motion, segments
from qsmbench.scan.blocks import majority, repeat
from qsmbench.scan.field import field_of
from qsmbench.scan.geometry import ScanGeometry, scan_geometry
from qsmbench.scan.harmonics import evaluate, fit
from qsmbench.scan.kspace import keep_measured, multiply_spectrum
from qsmbench.scan.memory import check_memory
from qsmbench.scan.noise import sigma_for
from qsmbench.scan.protocol import Protocol
from qsmbench.scan.readout import distort, eddy_phase, fat_spectrum
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
            r2prime, labels, ct if there are calcifications, and vein, vein_diameter, vein_angle and oef if there are
            generated veins.
        regions: index, name and group of the labels.
        geometry: of the scan.
        sigma: of the noise in the real and imaginary parts of each coil; 0: no noise.
    """

    signal: np.ndarray
    mask: np.ndarray
    params: Params
    truth: dict[str, np.ndarray]
    regions: list[tuple[int, str, str]]
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
    truth |= phantom.vein_maps(grid)
    signal = _image_at_rest(field, properties, geometry, protocol)
    if protocol.motion:
        signal = _image_in_motion(signal, phantom, protocol, geometry, shim)
    if protocol.breathing:
        signal = _image_in_breath(signal, protocol, grid)
    signal = keep_measured(signal, protocol.kspace)
    params = Params(np.array(protocol.te), protocol.b0, grid)
    sigma = _sigma(signal, truth["labels"], properties.regions, mask, protocol, geometry)
    return Simulation(signal, mask, params, truth, properties.regions, geometry, sigma)


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
    para, dia = (slice_mean(part, factor, weight) for part in (properties.chi_para, properties.chi_dia))
    return {
        "chi": para - dia,
        "chi_para": para,
        "chi_dia": dia,
        "total_field": slice_mean(field, factor, weight),
        "local_field": np.where(mask, local, np.float32(0)),
        "r2star": slice_mean(properties.r2star, factor, weight),
        "r2": slice_mean(properties.r2, factor, weight),
        "r2prime": slice_mean(properties.r2star - properties.r2, factor, weight),
        "labels": majority(properties.labels, factor),
    }


def _image_at_rest(field: np.ndarray, properties: Properties, geometry: ScanGeometry, protocol: Protocol) -> np.ndarray:
    """Return the image of an object at rest with complete k-space; (nx, ny, nz, n_echoes) complex64.

    Fat that is displaced along the readout is imaged separately and added.
    """
    readout, te = protocol.readout, np.array(protocol.te)
    fat, moves = properties.fat_fraction, readout.bandwidth is not None

    def image_of(pd: np.ndarray, fat_fraction: np.ndarray) -> np.ndarray:
        signal = _acquire(field, properties, pd, fat_fraction, geometry, protocol)
        return _apply_receive_phase(signal, geometry, protocol)

    if moves and fat.any():
        none = np.zeros_like(fat)
        image = image_of(properties.protons(FAT), none)
        spectrum = fat_spectrum(geometry.grid.shape[readout.along], readout, te, protocol.b0)
        image = multiply_spectrum(image, spectrum, readout.along)
        image += image_of(properties.protons(WATER), none)
    else:
        image = image_of(properties.pd, fat)
    if moves and readout.distortion:
        mean = slice_mean(field, geometry.factor, _slice_weight(protocol, geometry))
        image = distort(image, mean, readout, protocol.b0)
    return image


def _acquire(
    field: np.ndarray,
    properties: Properties,
    pd: np.ndarray,
    fat: np.ndarray,
    geometry: ScanGeometry,
    protocol: Protocol,
) -> np.ndarray:
    slices, transmit = protocol.slices, protocol.b1.transmit if protocol.b1 else None
    return spoiled_gre(
        field,
        pd,
        properties.t1,
        properties.r2star,
        fat,
        geometry.factor,
        te=np.array(protocol.te),
        tr=protocol.tr,
        flip_angle=protocol.flip_angle,
        b0=protocol.b0,
        profile=profile(slices, geometry.thickness, geometry.factor[2]) if slices else None,
        transmit=b1.evaluate(transmit, geometry.grid, geometry.isocentre) if transmit else None,
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
    poses = motion.poses(protocol.motion, geometry.isocentre)
    fine = geometry.grid.refine(geometry.factor)

    def states() -> Iterator[np.ndarray]:
        for pose in poses:
            if np.array_equal(pose, np.eye(4)):
                yield still
                continue
            properties, field = properties_and_field(phantom, motion.grid_in_pose(fine, pose), protocol.b0)
            _subtract_shim(shim, field, fine)
            yield _image_at_rest(field, properties, geometry, protocol)

    time, axes, total = _lines(protocol, geometry.grid)
    return segments.assemble(states(), motion.pose_at(time, total, len(poses)), axes)


def _image_in_breath(still: np.ndarray, protocol: Protocol, grid: Grid) -> np.ndarray:
    assert protocol.breathing
    time, axes, _ = _lines(protocol, grid)
    te, b0 = np.array(protocol.te), protocol.b0
    states = (breathing.state(still, protocol.breathing, b, grid, te, b0) for b in range(breathing.BINS))
    return segments.assemble(states, breathing.depth(protocol.breathing, time), axes)


def _lines(protocol: Protocol, grid: Grid) -> tuple[np.ndarray, tuple[int, ...], float]:
    return segments.times(
        grid.shape, protocol.readout.along, protocol.kspace, protocol.tr, slices=protocol.slices is not None
    )


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
