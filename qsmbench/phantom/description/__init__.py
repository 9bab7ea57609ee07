"""The YAML files and tables of a phantom, as typed models."""
