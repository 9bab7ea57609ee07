"""What the rules of the workflow do beside running methods, one job a file: `python -m qsmbench.study.jobs NAME …`.

Each file has a `main(arguments)`; only the one that is asked for is imported, since jobs are many and short.
"""
