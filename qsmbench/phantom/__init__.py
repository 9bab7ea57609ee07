"""Numerical objects: a description of tissues and shapes becomes property maps on any grid."""

from qsmbench.phantom.labelmap import LabelPhantom
from qsmbench.phantom.load import load
from qsmbench.phantom.model import Phantom
from qsmbench.phantom.properties import Properties

__all__ = ["LabelPhantom", "Phantom", "Properties", "load"]
