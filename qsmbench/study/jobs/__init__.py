"""The jobs of a study's workflow, one a file; `python -m qsmbench.study.jobs JOB.json` runs one.

Each file has a `run(spec, out)` that writes its products into the folder `out` and returns what its record tells beside
them. Only the one that runs is imported, since jobs are many and short.
"""
