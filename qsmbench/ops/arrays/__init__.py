"""Arrays of any library: expressions, FFTs, differences, smoothing."""
