"""A grid of methods x backbones x seeds, beside the literature."""
