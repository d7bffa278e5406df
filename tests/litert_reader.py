"""Runs a LiteRT file from what it says of itself, without TensorFlow and without ferkeras.

    python litert_reader.py FILE.tflite INPUT.npy

INPUT.npy holds pixels in [0, 255], (H, W, C) or for clips (T, H, W, C). Prints JSON: the label if there are labels, the
outputs of the whole, and of a file that reads frame by frame those after the last frame.
"""

import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(path: str, pixels: np.ndarray) -> dict:
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("ferkeras.json"))
        if about["labels"]:
            assert archive.read("labels.txt").decode().splitlines() == about["labels"]
    interpreter = Interpreter(path)
    signatures = about["signatures"]
    assert set(interpreter.get_signature_list()) == set(signatures)
    whole = interpreter.get_signature_runner("serving_default")
    inputs = {}
    for name, tensor in signatures["serving_default"]["inputs"].items():
        values = np.ones(tensor["shape"]) if name == "frame_mask" else pixels.reshape(tensor["shape"])
        inputs[name] = values.astype(tensor["dtype"])
    outputs = whole(**inputs)
    found = {"whole": {name: outputs[name].tolist() for name in signatures["serving_default"]["outputs"]}}
    if about["labels"]:
        found["label"] = about["labels"][int(outputs["probabilities"][0].argmax())]
    if "step" in signatures:
        step, said = interpreter.get_signature_runner("step"), signatures["step"]
        states = {name: np.zeros(said["inputs"][name]["shape"], np.float32) for name in said["states"]}
        for frame in pixels:
            outputs = step(image=frame[None].astype(np.float32), **states)
            states = {name: outputs[name] for name in states}
        found["last"] = {name: outputs[name].tolist() for name in said["outputs"]}
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], np.load(sys.argv[2]))))
