"""Metrics of a run, or of score maps of any tool, and their report."""
