"""The reference answers of the models: what the vision crate must find, by an implementation that shares nothing with it.

Pillow decodes and scales, numpy decodes the tensors, ONNX Runtime's Python package runs the network; tensors, anchors,
thresholds and labels are read from the manifest, so that this also checks that the manifest says enough.

    decode.py MODELS_FOLDER PICTURES_FOLDER [--write GOLDEN_JSON] PICTURE...

MODELS_FOLDER and PICTURES_FOLDER are what `cargo xtask models` and `cargo xtask pictures` fill. Boxes are in pixels of the
upright picture, cut at its edges, best first. With --write the answers are stored as models/golden.json is.
"""

import argparse
import json
import os
import pathlib

# The library reads this when it is loaded; without it, it writes files under the home folder.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402


def tensor(picture, spec):
    """The picture as the model's input, and where the picture lies in it: (left, top, width, height) of the input's frame
    in pixels of the picture."""
    _, height, width, _ = spec["shape"]
    frame = (0.0, 0.0, float(picture.width), float(picture.height))
    if spec["resize"] == "letterbox":
        side = max(picture.size)
        left, top = (side - picture.width) // 2, (side - picture.height) // 2
        square = Image.new("RGB", (side, side), (spec["letterbox_value"],) * 3)
        square.paste(picture, (left, top))
        picture, frame = square, (float(-left), float(-top), float(side), float(side))
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    normalisation = spec["normalisation"]
    values = pixels * np.float32(normalisation["scale"]) + np.float32(normalisation["offset"])
    return values[None], frame


def sigmoid(values):
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))


def ssd_anchors(spec, input_side):
    """Rows of (centre y, centre x, height, width), as fractions of the input: for each layer, row, column, shape."""
    strides, ratios = spec["strides"], spec["aspect_ratios"]
    step = (spec["scale_max"] - spec["scale_min"]) / (len(strides) - 1)
    scales = [spec["scale_min"] + step * layer for layer in range(len(strides))] + [1.0]
    rows = []
    for layer, stride in enumerate(strides):
        if layer == 0:
            shapes = [(shape["aspect_ratio"], shape["scale"]) for shape in spec["lowest_layer"]]
        else:
            between = (scales[layer] * scales[layer + 1]) ** 0.5
            shapes = [(ratio, scales[layer]) for ratio in ratios]
            shapes.append((spec["interpolated_scale_aspect_ratio"], between))
        cells = -(-input_side // stride)
        for y in range(cells):
            for x in range(cells):
                for ratio, scale in shapes:
                    rows.append(((y + 0.5) / cells, (x + 0.5) / cells, scale / ratio**0.5, scale * ratio**0.5))
    anchors = np.array(rows, np.float32)
    assert len(anchors) == spec["count"], len(anchors)
    return anchors


def ssd(model, outputs):
    """(class, score, left, top, right, bottom) of every anchor and class above the threshold, fractions of the input."""
    spec = model["decoder"]
    anchors = ssd_anchors(spec["anchors"], model["inputs"][0]["shape"][1])
    boxes, scales = outputs[spec["boxes"]][0], spec["box_scales"]
    scores = sigmoid(outputs[spec["scores"]][0])
    y = boxes[:, 0] / scales["y"] * anchors[:, 2] + anchors[:, 0]
    x = boxes[:, 1] / scales["x"] * anchors[:, 3] + anchors[:, 1]
    height = np.exp(boxes[:, 2] / scales["h"]) * anchors[:, 2]
    width = np.exp(boxes[:, 3] / scales["w"]) * anchors[:, 3]
    edges = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    first = spec["background_classes"]
    for index in range(first, scores.shape[1]):
        for row in np.flatnonzero(scores[:, index] > model["thresholds"]["score"]):
            yield index - first, float(scores[row, index]), *map(float, edges[row])


def blazeface(model, outputs):
    """As ssd(). The model's numbers are pixels of its input, relative to the centre of the anchor's cell."""
    side = model["inputs"][0]["shape"][1]
    for layer in model["decoder"]["layers"]:
        cells, each = side // layer["stride"], layer["anchors_per_cell"]
        scores, boxes = sigmoid(outputs[layer["scores"]][0, :, 0]), outputs[layer["boxes"]][0] / side
        for row in np.flatnonzero(scores > model["thresholds"]["score"]):
            cell_y, cell_x = divmod(row // each, cells)
            x, y = boxes[row, 0] + (cell_x + 0.5) / cells, boxes[row, 1] + (cell_y + 0.5) / cells
            half_width, half_height = boxes[row, 2] / 2, boxes[row, 3] / 2
            edges = (x - half_width, y - half_height, x + half_width, y + half_height)
            yield 0, float(scores[row]), *map(float, edges)


def overlap(a, b):
    """Intersection over union of two boxes of (left, top, right, bottom)."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
    return both / (area(a) + area(b) - both)


def suppress(model, candidates):
    """Of boxes of one class that overlap too much, the best; at most as many as the manifest allows, best first."""
    kept = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate[1]):
        rivals = (other for other in kept if other[0] == candidate[0])
        if all(overlap(candidate[2:], rival[2:]) < model["nms"]["iou"] for rival in rivals):
            kept.append(candidate)
    return kept[: model["boxes_max"]]


DECODERS = {"ssd": ssd, "blazeface": blazeface}


def find(model, session, picture):
    """What the model finds in an upright picture."""
    values, (left, top, width, height) = tensor(picture, model["inputs"][0])
    names = [output["name"] for output in model["outputs"]]
    outputs = dict(zip(names, session.run(names, {model["inputs"][0]["name"]: values})))
    boxes = []
    for index, score, *edges in suppress(model, DECODERS[model["decoder"]["kind"]](model, outputs)):
        x0, x1 = (min(max(left + edge * width, 0), picture.width) for edge in (edges[0], edges[2]))
        y0, y1 = (min(max(top + edge * height, 0), picture.height) for edge in (edges[1], edges[3]))
        numbers = {"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0}
        label = {"label": model["labels"][index], "score": round(score, 4)}
        boxes.append(label | {name: round(number, 1) for name, number in numbers.items()})
    return boxes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("pictures", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    manifest = json.loads((arguments.models / "manifest.json").read_text())
    answers = []
    for model in manifest["models"]:
        variant = next(variant for variant in model["variants"] if variant["engine"] == "ort")
        session = onnxruntime.InferenceSession(arguments.models / variant["file"], providers=["CPUExecutionProvider"])
        for name in arguments.names:
            picture = ImageOps.exif_transpose(Image.open(arguments.pictures / name)).convert("RGB")
            boxes = find(model, session, picture)
            answers.append({"picture": name, "model_id": model["id"], "boxes": boxes})
            print(model["id"], name, picture.size, *(f"\n    {box}" for box in boxes))
    if arguments.write:
        lines = ",\n  ".join(json.dumps(answer) for answer in answers)
        text = f"[\n  {lines}\n]\n"
        arguments.write.write_text(text)


if __name__ == "__main__":
    main()
