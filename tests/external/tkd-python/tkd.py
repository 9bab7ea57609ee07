"""Thresholded k-space division: tkd.py IN OUT THRESHOLD, voxel size (3 values), B0 direction (3 values)."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np

given, made = Path(sys.argv[1]), Path(sys.argv[2])
threshold, *geometry = map(float, sys.argv[3:])
image = nib.load(given / "localfield.nii.gz")
mask = nib.load(given / "mask.nii.gz").get_fdata() > 0
k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(image.shape, geometry[:3], strict=True)), indexing="ij")
along = sum(b * axis for b, axis in zip(geometry[3:], k, strict=True))
square = sum(axis**2 for axis in k)
square[0, 0, 0] = 1
dipole = 1 / 3 - along**2 / square
inverse = 1 / np.where(np.abs(dipole) < threshold, np.copysign(threshold, dipole), dipole)
inverse[0, 0, 0] = 0
chi = np.fft.ifftn(np.fft.fftn(image.get_fdata() * mask) * inverse).real
chi = (chi - chi[mask].mean()) * mask
nib.Nifti1Image(chi.astype(np.float32), image.affine).to_filename(made / "chimap.nii.gz")
