"""Layers that stand alone and fit into any network."""
