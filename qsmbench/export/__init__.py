"""Scans, methods and results in the formats of other projects."""
