"""Veins that grow into a phantom, and the blood in them."""
