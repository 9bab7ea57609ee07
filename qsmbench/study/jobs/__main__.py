"""`python -m qsmbench.study.jobs NAME …`: run one job; an error of the user's making is one line and exit code 2."""

import sys
from importlib import import_module

from qsmbench.errors import QsmbenchError

if __name__ == "__main__":
    try:
        import_module(f"qsmbench.study.jobs.{sys.argv[1]}").main(sys.argv[2:])
    except QsmbenchError as error:
        sys.exit(f"qsmbench: {error}")
