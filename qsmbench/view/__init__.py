"""Pictures of volumes."""
