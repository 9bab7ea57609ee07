"""Numerical objects: a description of tissues and shapes becomes property maps on any grid."""
