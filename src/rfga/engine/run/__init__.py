"""The run folder: settings, classes, weights and metrics, and the model that is built from them."""
