"""Building blocks of water–fat separation."""
