"""From property maps to a measured signal."""
