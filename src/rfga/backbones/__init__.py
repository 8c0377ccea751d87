"""Feature networks with ordered, named stages after which a layer can be attached."""

BACKBONES: dict[str, str] = {
    "drawn_birds": "rfga.backbones.drawn:DrawnBirds",
    "wsol_vgg16": "rfga.backbones.wsol_vgg16:WsolVgg16",
    "wsol_inception_v3": "rfga.backbones.wsol_inception_v3:WsolInceptionV3",
    "wsol_resnet50": "rfga.backbones.wsol_resnet50:WsolResnet50",
}
"""Name of a network of ours -> "module:Class"; any other name is timm's own network of that name."""
