"""Claims of a clinical review, each as an experiment with a decision rule and a verdict."""
