"""A local page to try a model with."""
