"""How strongly to regularise: methods that wrap a method, and choose one of its settings by the data alone."""
