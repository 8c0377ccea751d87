"""The box of an exported run without torch or rfga: python onnx_box.py model.onnx photo.jpg boxed.jpg."""

import json
import sys

import cv2
import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageOps

model_file, photo_file, boxed_file = sys.argv[1:]
session = onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
if about["normalisation"] != "minmax":
    sys.exit(f"expected maps normalised by minmax, found {about['normalisation']}: see docs/export.md")
side, threshold = int(about["image_size"]), float(about["threshold"])
photo = ImageOps.exif_transpose(Image.open(photo_file)).convert("RGB")
pixels = np.asarray(photo.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)
logits, maps = session.run(["logits", "maps"], {"images": pixels.transpose(2, 0, 1)[None]})
label = int(logits[0].argmax())

heat = cv2.resize(maps[0, label].astype(np.float64), (224, 224), interpolation=cv2.INTER_CUBIC)
grey = ((heat - heat.min()) / (heat.max() - heat.min()) * 255).astype(np.uint8)
above = (grey > int(threshold * grey.max())).astype(np.uint8)
x, y, w, h = cv2.boundingRect(max(cv2.findContours(above, 0, 1)[0], key=cv2.contourArea))
box = np.array([x, y, x + w, y + h]) * np.tile(photo.size, 2) / 224

ImageDraw.Draw(photo).rectangle(box.tolist(), outline="magenta", width=3)
photo.save(boxed_file)
print(json.loads(about["classes"])[label], *box.round(1))
