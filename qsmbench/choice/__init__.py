"""The choice of the regularisation: methods that wrap a method, and choose one of its settings by the data alone."""
