"""Files on disk: the artifact table, volumes, folders, BIDS."""
