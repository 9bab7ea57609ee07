"""Phase: wrapping, unwrapping, offset, quality and noise."""
