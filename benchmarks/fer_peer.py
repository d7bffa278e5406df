"""The peer's side of `benchmarks/against_fer.py`: runs in the environment of the package `fer` and answers in JSON.

Nothing of this repository is imported here. The environment (Python 3.11; the package declares more than the parts that
are measured need, and OpenCV 5 no longer brings the cascade that it looks for):

    python3.11 -m venv fer_venv
    fer_venv/bin/pip install --no-deps fer==25.10.3
    fer_venv/bin/pip install tensorflow==2.21.0 "opencv-contrib-python<5" "setuptools<81" "moviepy<2" ffmpeg-python \\
        matplotlib pandas requests tqdm Pillow

Each line of standard input is a task, each line of standard output its answer:

    {"task": "images", "network": "keras", "files": [...]}      -> boxes [[[x, y, w, h], ...], ...], emotions, seconds
    {"task": "video", "network": "keras", "file": "film.mp4"}   -> the same without emotions, for each frame
    {"task": "crops", "network": "keras", "file": "faces.npy"}  -> labels, probabilities (N, K), seconds, parameters

`network` is `keras`, the Keras file of the package, or `tflite`, its quantised form, which it takes unless told
otherwise.
"""

import json
import os
import sys
import time
from typing import Any

import cv2
import numpy as np
from fer.fer import FER

#: Faces that the network sees at once when it is measured alone.
BATCH = 64


def images(peer: FER, task: dict[str, Any]) -> dict[str, Any]:
    """Finds and classifies the faces of picture files, one file after the other; reading them is part of the time."""
    start = time.perf_counter()
    found = [peer.detect_emotions(cv2.imread(file)) for file in task["files"]]
    seconds = time.perf_counter() - start
    named = [[max(face["emotions"], key=face["emotions"].get) for face in faces] for faces in found]
    return {"boxes": [boxes(faces) for faces in found], "emotions": named, "seconds": seconds}


def video(peer: FER, task: dict[str, Any]) -> dict[str, Any]:
    """The faces of every frame of a video; reading it is part of the time.

    The package's own `Video.analyze` calls the same function for each frame, but leaves out frames without a face, so
    that it cannot be told any more which frame a result is of.
    """
    film = cv2.VideoCapture(task["file"])
    found = []
    start = time.perf_counter()
    while (frame := film.read()[1]) is not None:
        found.append(boxes(peer.detect_emotions(frame)))
    return {"boxes": found, "seconds": time.perf_counter() - start}


def crops(peer: FER, task: dict[str, Any]) -> dict[str, Any]:
    """The network alone on (N, h, w) uint8 grey faces, prepared as the package does it: 64 x 64 pixels in [-1, 1]."""
    faces = np.load(task["file"])
    peer._classify_emotions(np.zeros((BATCH, 64, 64), np.float32))  # compiles
    start = time.perf_counter()
    found = []
    for first in range(0, len(faces), BATCH):
        batch = np.array([cv2.resize(face, (64, 64)) for face in faces[first : first + BATCH]], "float32")
        found.append(np.asarray(peer._classify_emotions((batch / 255.0 - 0.5) * 2.0)))
    seconds = time.perf_counter() - start
    names = peer._get_labels()
    keras = FER._model_cache or FER(use_tflite=False)._FER__emotion_classifier
    return {
        "labels": [names[index] for index in range(len(names))],
        "probabilities": np.concatenate(found).round(6).tolist(),
        "seconds": seconds,
        "parameters": keras.count_params(),
    }


def boxes(faces: list[dict[str, Any]]) -> list[list[int]]:
    return [[int(value) for value in face["box"]] for face in faces]


TASKS = {"images": images, "video": video, "crops": crops}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    peers: dict[str, FER] = {}
    for line in sys.stdin:
        task = json.loads(line)
        network = task["network"]
        if network not in peers:
            peers[network] = FER(use_tflite=network == "tflite")
            peers[network].detect_emotions(np.zeros((96, 96, 3), np.uint8), face_rectangles=[(8, 8, 64, 64)])
        print(json.dumps(TASKS[task["task"]](peers[network], task)), file=answers, flush=True)


if __name__ == "__main__":
    main()
