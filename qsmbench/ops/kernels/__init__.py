"""Convolution kernels: the dipole, spherical means."""
