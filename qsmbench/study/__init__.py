"""A study: its configuration, its plan, and the jobs of its workflow."""
