"""Score tables → means, intervals, ranks, regional values: pure functions on tidy tables."""
