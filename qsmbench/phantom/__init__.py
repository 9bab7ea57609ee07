"""Numerical objects: a description of tissues and shapes becomes property maps on any grid."""

from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.phantom.properties import Properties

__all__ = ["Phantom", "Properties", "load"]
