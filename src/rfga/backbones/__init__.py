"""Feature networks with ordered, named stages after which a layer can be attached."""

BACKBONES: dict[str, str] = {}
"""Name of a benchmark variant -> "module:Class"; any other name is timm's own network of that name."""
