"""A page that runs a network in the browser: the sources in `ferkeras/web/`, the `.tflite` file, and LiteRT.js.

LiteRT.js (npm `@litertjs/core`, Apache-2.0) is not part of this package: the export copies it from a folder of the
user or has npm fetch the version that the page was tested with.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2

from ferkeras.errors import InputError
from ferkeras.export.web_model import write_web_model
from ferkeras.files import staged
from ferkeras.runs import RunFolder

SOURCES = Path(__file__).parents[1] / "web"
CASCADE = "haarcascade_frontalface_default.xml"
LITERTJS_VERSION = "2.5.3"
#: What the page needs of LiteRT.js: with relaxed SIMD, and for browsers that lack it. The forms with threads want
#: special headers of the server, those with JSPI a GPU.
LITERTJS_FILES = (
    "core/package.json",
    "core/dist/index.js",
    "core/wasm/litert_wasm_internal.js",
    "core/wasm/litert_wasm_internal.wasm",
    "core/wasm/litert_wasm_compat_internal.js",
    "core/wasm/litert_wasm_compat_internal.wasm",
    "wasm-utils/package.json",
    "wasm-utils/dist/index.js",
)
_NPM_TIMEOUT_S = 300
_MANUAL = (
    f"Run `npm install @litertjs/core@{LITERTJS_VERSION}` in a folder of yours, and name its node_modules: "
    "--litertjs DIR."
)


def write_web(folder: RunFolder, *, model: Path | None = None, litertjs: Path | None = None) -> Path:
    """Writes `<run>/web/`, static files that any web server can hand out; see `docs/mobile.md`.

    Args:
        folder: A run whose LiteRT files are written.
        model: The `.tflite` file that the page runs; without one see `choose_model`.
        litertjs: A `node_modules` folder with `@litertjs/core` in it, or the folder `@litertjs` itself. Without one
            npm fetches it.

    Returns:
        The folder.

    Raises:
        InputError: if there is no `.tflite` file, no LiteRT.js, or no Haar cascade.
    """
    model = choose_model(folder) if model is None else model
    if not model.is_file():
        raise InputError("There is no such model file", received=str(model), action="Export it: --format litert.")
    target = folder.path / "web"
    with _litertjs(litertjs) as library, staged(target) as unfinished:
        shutil.copytree(SOURCES, unfinished)
        for name in LITERTJS_FILES:
            destination = unfinished / "litertjs" / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(library / name, destination)  # without the permissions, which npm sets narrowly
        write_web_model(model, unfinished / "model.tflite")
        _write_json(unfinished / "model.json", _description(folder))
        _write_json(unfinished / "cascade.json", haar_cascade())
        _stamp(unfinished)
    return target


def choose_model(folder: RunFolder) -> Path:
    """The run's float32 `.tflite` file, of clips the one that reads frame after frame, where there is one.

    Raises:
        InputError: if the run has no `.tflite` file.
    """
    files = sorted((folder.path / "litert").glob("*.tflite"))
    if not files:
        raise InputError(
            "The page needs a .tflite file of the run",
            received=f"none in {folder.path / 'litert'}",
            action=f"Write one: ferkeras export {folder.path} --format litert.",
        )
    return min(files, key=lambda file: ("float32" not in file.stem, "step" not in file.stem, file.stem))


def _description(folder: RunFolder) -> dict[str, Any]:
    """What the page must know of the network: heads, size and colour of a face, length of a clip."""
    preprocessing = folder.preprocessing()
    kept = {key: preprocessing[key] for key in ("height", "width", "channels", "frames") if key in preprocessing}
    return {
        "name": folder.path.resolve().name,
        "heads": folder.heads(),
        "stride": preprocessing.get("stride", 1),
        "margin": preprocessing.get("margin", 0.0),
        **kept,
    }


def haar_cascade() -> dict[str, Any]:
    """The face detector of the installed OpenCV as the page reads it.

    Returns:
        `size`: side in pixels of the window; `stages`: each with its `threshold` and its `stumps`, lists of threshold,
        value below it, value above it, and x, y, width, height, weight of two or three rectangles; `license`.

    Raises:
        InputError: if OpenCV has no such cascade, as version 5.
    """
    path = Path(cv2.__file__).parent / "data" / CASCADE
    if not path.is_file():
        raise InputError("OpenCV has no Haar cascade", received=str(path), action="Install OpenCV 4, not 5.")
    text = path.read_text(encoding="utf-8")
    cascade = ElementTree.fromstring(text).find("cascade")
    if cascade is None:
        raise InputError("The Haar cascade of OpenCV cannot be read", received=str(path))
    rectangles = [
        [round(float(number), 4) for rectangle in feature.iterfind("rects/_") for number in _numbers(rectangle)]
        for feature in cascade.iterfind("features/_")
    ]
    stages = []
    for stage in cascade.iterfind("stages/_"):
        stumps = []
        for weak in stage.iterfind("weakClassifiers/_"):
            _, _, feature, threshold = _numbers(weak.find("internalNodes"))
            below, above = _numbers(weak.find("leafValues"))
            stumps.append([threshold, below, above, *rectangles[int(feature)]])
        stages.append({"threshold": _numbers(stage.find("stageThreshold"))[0], "stumps": stumps})
    notice = text.partition("<!--")[2].partition("-->")[0].strip()
    return {"size": int(_numbers(cascade.find("width"))[0]), "stages": stages, "license": notice}


def _numbers(element: ElementTree.Element | None) -> list[float]:
    return [float(word) for word in (element.text or "").split()] if element is not None else []


@contextmanager
def _litertjs(given: Path | None) -> Iterator[Path]:
    """The folder `@litertjs`: the one given, or a fresh one from npm, which checks what it fetches."""
    if given is not None:
        yield _checked(given)
        return
    npm = shutil.which("npm")
    if npm is None:
        raise InputError("The page needs LiteRT.js, and there is no npm here to fetch it", action=_MANUAL)
    with tempfile.TemporaryDirectory(prefix="ferkeras-litertjs-") as folder:
        packages = [f"@litertjs/{name}@{LITERTJS_VERSION}" for name in ("core", "wasm-utils")]
        options = ["--prefix", folder, "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefer-offline"]
        command = [npm, "install", *options, *packages]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_NPM_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"npm took more than {_NPM_TIMEOUT_S} s to fetch LiteRT.js", action=_MANUAL) from error
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["nothing"]
            raise InputError("npm could not fetch LiteRT.js", received=said[0][:300], action=_MANUAL)
        yield _checked(Path(folder))


def _checked(given: Path) -> Path:
    for folder in (given, given / "@litertjs", given / "node_modules" / "@litertjs"):
        if all((folder / name).is_file() for name in LITERTJS_FILES):
            return folder
    raise InputError(f"Expected a folder with LiteRT.js {LITERTJS_VERSION}", received=str(given), action=_MANUAL)


def _stamp(page: Path) -> None:
    """Gives the service worker a version that changes with any file, so that browsers take the new ones."""
    digest = hashlib.sha256()
    for path in sorted(path for path in page.rglob("*") if path.is_file()):
        digest.update(path.relative_to(page).as_posix().encode() + b"\0" + path.read_bytes())
    worker = page / "service-worker.js"
    source = worker.read_text(encoding="utf-8")
    worker.write_text(source.replace('"unversioned"', f'"{digest.hexdigest()[:16]}"'), encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
