"""Methods of weakly supervised localization: how a network is trained from class labels and read for maps."""

METHODS = {
    "cam": "rfga.methods.cam:CAM",
    "acol": "rfga.methods.acol:ACoL",
    "spg": "rfga.methods.spg:SPG",
    "adl": "rfga.methods.adl:ADL",
    "rfga": "rfga.methods.rfga:ResidualFineGrainedAttention",
    "rfga-spread": "rfga.methods.rfga:SpreadAttention",
    "foreground": "rfga.methods.foreground:Foreground",
    "ridge": "rfga.methods.cam:RidgeCAM",
    "has": "rfga.methods.has:HaS",
    "cutmix": "rfga.methods.cutmix:CutMix",
    "bas": "rfga.methods.bas:BAS",
    "psol": "rfga.methods.psol:PSOL",
    "ts-cam": "rfga.methods.ts_cam:TSCAM",
    "se": "rfga.methods.attention_layers:SqueezeExcitation",
    "eca": "rfga.methods.attention_layers:EfficientChannelAttention",
    "cbam": "rfga.methods.attention_layers:ConvolutionalBlockAttention",
    "nonlocal": "rfga.methods.attention_layers:NonLocalAttention",
}
"""Name of a method -> "module:Class". A new method is one file in this folder and one line here."""

SHARES_OF_OBJECT = ("foreground", "psol", "tokencut", "lost")
"""Those whose maps are shares of object in [0, 1], a half at their own level: they are not normalised."""

WITH_FOREGROUND = ("foreground",)
"""Methods that have the foreground of the collection already, so that it is not put on top of them."""

BY_PASSES = ("foreground", "ridge", "psol")
"""Methods that are solved from looks at the photographs, without epochs, learning rate or chance."""

ONE_CLASS = ("foreground",)
"""Methods that learn of one class alone, from what its photographs have in common."""

POSTHOC = {
    "gradcam": "rfga.methods.posthoc:GradCAM",
    "gradcam++": "rfga.methods.posthoc:GradCAMPlusPlus",
    "layercam": "rfga.methods.posthoc:LayerCAM",
    "scorecam": "rfga.methods.posthoc:ScoreCAM",
    "eigencam": "rfga.methods.posthoc:EigenCAM",
    "bagcam": "rfga.methods.bagcam:BagCAMs",
    "bagcam-middle": "rfga.methods.bagcam:MiddleBagCAMs",
    "tokencut": "rfga.methods.tokencut:TokenCut",
    "lost": "rfga.methods.lost:LOST",
}
"""Name of a way to read maps from any trained method -> "module:Class"; ``posthoc`` is the extra grad-cam."""
