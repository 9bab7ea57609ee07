"""Run a step, as whoever runs this: `python drive.py SPEC.json`; what became of it is printed as JSON."""

import json
import sys
from pathlib import Path

from qsmbench.run import step
from qsmbench.run.specs import StepSpec

if __name__ == "__main__":
    record = step.run(StepSpec.from_json(json.loads(Path(sys.argv[1]).read_text()), "step"))
    sys.stdout.write(json.dumps(record.to_json()))
