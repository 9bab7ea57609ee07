"""From shapes and tissues to property maps on a grid."""
