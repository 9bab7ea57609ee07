"""Choice of the regularisation: methods that wrap a method, and choose one of its settings from the data alone."""
