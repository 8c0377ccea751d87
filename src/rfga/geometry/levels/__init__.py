"""The boxes of all levels of a map in one pass: the parts of ``rfga.geometry.levelsets``."""
