"""Thresholds of score maps that need no box: one file an idea."""
