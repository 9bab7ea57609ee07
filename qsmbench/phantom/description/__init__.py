"""What the YAML files and tables of a phantom say, as typed models."""
