"""Predicted boxes as files of other tools: one file a format."""
