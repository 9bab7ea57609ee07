"""The reconstruction methods: one algorithm a file, named after it."""
