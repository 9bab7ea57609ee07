"""Others' code as methods: a folder of any language, or a trained network."""
