"""The files that `qsmbench new-method` writes."""
