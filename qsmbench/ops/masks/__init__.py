"""Morphology of masks, edges, vessels."""
