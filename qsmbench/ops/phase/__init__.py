"""Wrapped phase and what is known of its quality and noise."""
