"""The jobs of a study's workflow, one per file; `python -m qsmbench.study.jobs JOB.json` runs one.

Each file has a `run(spec, out)` that writes its products into the folder `out` and returns further details for the
record. Only the module of the running job is imported, since jobs are many and short.
"""
