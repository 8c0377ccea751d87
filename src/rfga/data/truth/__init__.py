"""Boxes and masks from files: one file a format."""
