"""Methods of weakly supervised localization: how a network is trained from class labels and read for maps."""

METHODS = {
    "cam": "rfga.methods.cam:CAM",
    "rfga": "rfga.methods.rfga:ResidualFineGrainedAttention",
}
"""Name of a method -> "module:Class". A new method is one file in this folder and one line here."""
