# for editors and type checkers: what __init__.py loads when it is asked for
from qsmbench import methods as methods
from qsmbench.api import Grid as Grid
from qsmbench.api import Scan as Scan
from qsmbench.api import catalogue as catalogue
from qsmbench.api import load_scan as load_scan
from qsmbench.api import reconstruct as reconstruct
from qsmbench.api import render as render
from qsmbench.api import score as score
from qsmbench.api import show as show
from qsmbench.api import simulate as simulate

__version__: str
__all__: list[str]
