"""Sets up benchmarks: downloads or takes archives, unpacks them safely, and writes their lists."""

PREPARERS = {
    "cub": "rfga.data.prepare.cub:RECIPE",
    "ilsvrc": "rfga.data.prepare.ilsvrc:RECIPE",
    "openimages30k": "rfga.data.prepare.openimages30k:RECIPE",
    "pets": "rfga.data.prepare.pets:RECIPE",
}
"""Name of a set -> "module:RECIPE" that builds it. A new set is one file in this folder and one line here."""
