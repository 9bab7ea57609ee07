# The two commands of the README, and the checks of a developer. All of them make the environment first.

PYTHON ?= python3
ENV := .venv
BIN := $(ENV)/bin
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
READY := $(ENV)/ready

.PHONY: benchmark test lint check bench gallery board gate baseline site format clean

benchmark: $(READY)
	$(BIN)/qsmbench run configs/quick.yaml --cores $(CORES)

test: $(READY)
	$(BIN)/python -m pytest -n $(CORES) --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile

check: lint
	# all lints but one: the environment is the one that snakemake itself runs in, so rules name none of their own
	! $(BIN)/snakemake --lint --configfile configs/quick.yaml 2>&1 | grep '^ *\* ' | grep -v 'conda environment or container'
	$(MAKE) test

bench: $(READY)
	$(BIN)/python -m pytest benchmarks/bench_forward.py --benchmark-columns=min,median,rounds
	$(BIN)/python benchmarks/methods.py
	$(BIN)/python benchmarks/speed.py

gallery: $(READY)
	$(BIN)/python docs/gallery.py

# the documentation as a site, in the folder site; any warning is an error
site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo site/index.html

# about two hours and a half on two cores; only what has changed since is run again, if results/board-… are still there
board: $(READY)
	for name in head abdomen; do \
	  $(BIN)/qsmbench run configs/board-$$name.yaml --cores $(CORES) && \
	  $(BIN)/qsmbench board results/board-$$name results/board/$$name || exit; \
	done
	$(BIN)/python docs/board.py

# has a built-in method got worse?
gate: $(READY)
	$(BIN)/qsmbench run configs/gate.yaml --cores $(CORES)
	$(BIN)/qsmbench check results/gate --baseline results/baseline/gate.parquet

# after a change of the phantoms, the simulation or a method that is meant to change scores
baseline: $(READY)
	$(BIN)/qsmbench run configs/gate.yaml --cores $(CORES)
	$(BIN)/qsmbench run configs/regression.yaml --cores $(CORES)
	$(BIN)/qsmbench baseline results/gate results/baseline/gate.parquet
	$(BIN)/qsmbench baseline results/regression results/baseline/regression.parquet

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "qsmbench needs Python 3.11 or newer; name one with PYTHON=…")'
	$(PYTHON) -m venv $(ENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(ENV) .snakemake site results/*/
