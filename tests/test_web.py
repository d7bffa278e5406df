"""The page for the browser: what the export writes, and, where there is a browser, what the page does with it.

The tests with a browser want Chromium and LiteRT.js: FERKERAS_LITERTJS names a node_modules folder with it.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.export import web
from ferkeras.export.web_model import write_web_model
from ferkeras.faces.detection import create_detector
from ferkeras.runs import RunFolder
from tests import tiny_litert
from tests.browser import Page, find_chromium, serve
from tests.tiny_litert import FRAMES, HEIGHT, LABELS, WIDTH


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return tiny_litert.still_run(tmp_path_factory.mktemp("runs") / "still")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, RunFolder]:
    """By whether the file has the signature `step`."""
    root = tmp_path_factory.mktemp("runs")
    return {s: tiny_litert.clip_run(root / f"streaming_{s}", streaming=s) for s in (True, False)}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A node_modules folder with files of the right names."""
    for name in web.LITERTJS_FILES:
        path = tmp_path / "node_modules" / "@litertjs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "node_modules"


def test_the_page_is_complete(still: RunFolder, library: Path) -> None:
    page = web.write_web(still, litertjs=library)
    assert page == still.path / "web"
    worker = (page / "service-worker.js").read_text()
    listed = re.search(r"const FILES = \[(.*?)\];", worker, re.DOTALL)
    files = set(re.findall(r'"(.*?)"', listed.group(1))) - {"./"}
    assert all((page / name).is_file() for name in files)
    wasm = {f"litertjs/{name}" for name in web.LITERTJS_FILES if "/wasm/" in name or name.endswith("package.json")}
    written = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert written == files | wasm | {"service-worker.js"}
    description = json.loads((page / "model.json").read_text())
    assert description["heads"]["emotion"] == list(LABELS)
    assert (description["height"], description["width"], description["channels"]) == (HEIGHT, WIDTH, 1)
    assert "frames" not in description
    assert (page / "model.tflite").read_bytes() == (still.path / "litert" / "float32.tflite").read_bytes()


def test_nothing_leads_out_of_the_page() -> None:
    page = (web.SOURCES / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page).group(1)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    import_map = re.search(r'<script type="importmap">(.*?)</script>', page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert rules["script-src"].split() == ["'self'", "'wasm-unsafe-eval'", f"'sha256-{digest}'"]
    for path in web.SOURCES.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//www" not in text, path
        assert "http:" not in text, path
        assert "https:" not in text, path
        assert "style=" not in text, path  # the policy would drop it


def test_a_changed_file_gives_a_new_version(still: RunFolder, library: Path, tmp_path: Path) -> None:
    def version() -> str:
        worker = (web.write_web(still, litertjs=library) / "service-worker.js").read_text()
        return re.search(r'VERSION = "(\w+)"', worker).group(1)

    first = version()
    assert first != "unversioned"
    assert version() == first
    (library / "@litertjs" / web.LITERTJS_FILES[-1]).write_text("changed")
    assert version() != first


def test_the_cascade_is_opencvs() -> None:
    cascade = web.haar_cascade()
    assert cascade["size"] == 24
    assert [len(cascade["stages"]), sum(len(stage["stumps"]) for stage in cascade["stages"])] == [25, 2913]
    assert {(len(stump) - 3) % 5 for stage in cascade["stages"] for stump in stage["stumps"]} == {0}
    assert "Redistribution" in cascade["license"]


def test_which_model(still: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match="--format litert"):
        web.choose_model(folder)
    (tmp_path / "litert").mkdir()
    for name in ("dynamic.tflite", "float16.tflite", "float32.tflite"):
        (tmp_path / "litert" / name).touch()
    assert web.choose_model(folder).name == "float32.tflite"
    with pytest.raises(InputError, match=r"no such model file.*absent\.tflite"):
        web.write_web(still, model=tmp_path / "absent.tflite", litertjs=tmp_path)


def test_without_litertjs(still: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (still.path / "web").exists()
    with pytest.raises(InputError, match=r"Expected a folder with LiteRT\.js"):
        web.write_web(still, litertjs=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no npm here.*npm install @litertjs/core@"):
        web.write_web(still)
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network unreachable' >&2; exit 1\n")
    npm.chmod(0o755)
    with pytest.raises(InputError, match="network unreachable"):
        web.write_web(still)
    assert (still.path / "web").exists() == before


def test_npm_fetches_the_version_that_was_tested(
    still: RunFolder, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said; /bin/cp -r {library} "$3"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    page = web.write_web(still)
    said = (tmp_path / "said").read_text().split()
    assert said[:2] == ["install", "--prefix"]
    assert "--ignore-scripts" in said
    assert said[-2:] == [f"@litertjs/{name}@{web.LITERTJS_VERSION}" for name in ("core", "wasm-utils")]
    assert (page / "litertjs" / "core" / "dist" / "index.js").read_text() == "core/dist/index.js"


def test_boolean_inputs_become_bytes(clips: dict[bool, RunFolder], tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    source, target = clips[True].path / "litert" / "float32.tflite", tmp_path / "model.tflite"
    write_web_model(source, target)
    before, after = interpreter(str(source)), interpreter(str(target))
    assert after.get_signature_list() == before.get_signature_list()
    frames = np.random.default_rng(0).uniform(0, 255, (1, FRAMES, HEIGHT, WIDTH, 1)).astype(np.float32)
    mask = np.array([[True, False, True, False]])
    expected = before.get_signature_runner("serving_default")(frames=frames, frame_mask=mask)
    runner = after.get_signature_runner("serving_default")
    assert runner.get_input_details()["frame_mask"]["dtype"] == np.uint8
    given = runner(frames=frames, frame_mask=mask.astype(np.uint8))
    for name, values in expected.items():
        np.testing.assert_array_equal(given[name], values)
    without = before.get_signature_runner("serving_default")(frames=frames, frame_mask=np.ones_like(mask))
    assert not np.allclose(without["emotion"], expected["emotion"])  # the mask counts


# With a browser.


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An astronaut, NASA's picture in the public domain."""
    path = tmp_path_factory.mktemp("pictures") / "portrait.png"
    cv2.imwrite(str(path), skimage.data.astronaut()[..., ::-1])
    return path


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "camera.mjpeg"
    frame = cv2.resize(skimage.data.astronaut()[:384], (640, 480))[..., ::-1]
    path.write_bytes(b"".join(cv2.imencode(".jpg", np.roll(frame, 4 * i, axis=1))[1].tobytes() for i in range(10)))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, camera: Path) -> Iterator[Page]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium was found; FERKERAS_CHROMIUM may name one")
    if "FERKERAS_LITERTJS" not in os.environ:
        command = f"npm install @litertjs/core@{web.LITERTJS_VERSION} @litertjs/wasm-utils@{web.LITERTJS_VERSION}"
        pytest.skip(f"FERKERAS_LITERTJS names no node_modules folder with LiteRT.js, as is left by: {command}")
    page = Page(executable, profile=tmp_path_factory.mktemp("profile"), camera=camera)
    yield page
    page.close()


@pytest.fixture
def litertjs() -> Path:
    return Path(os.environ["FERKERAS_LITERTJS"])


def opened(browser: Page, url: str) -> None:
    browser.problems.clear()
    browser.open("about:blank")
    browser.open(url)
    browser.wait("document.body?.dataset.ready")


def shown(browser: Page, picture: Path) -> dict[str, Any]:
    browser.evaluate("delete document.body.dataset.answer")
    browser.choose_file("#file", picture)
    return json.loads(browser.wait("document.body.dataset.answer"))


def cut(image: np.ndarray, square: dict[str, float]) -> np.ndarray:
    """The network's input for a square of a picture (H, W, 3), by the code that training uses; (20, 24, 1)."""
    left, top, size = (int(np.floor(square[key] + 0.5)) for key in ("x", "y", "size"))
    rows = np.clip(np.arange(top, top + size), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + size), 0, image.shape[1] - 1)
    return np.asarray(Preprocessing(HEIGHT, WIDTH, 1)(np.ascontiguousarray(image[rows][:, columns])))


def check(answer: dict[str, Any], expected: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=5e-3)
    assert answer["valence"] == pytest.approx(expected["valence"], abs=5e-3)
    assert answer["arousal"] == pytest.approx(expected["arousal"], abs=5e-3)


def test_browser_gives_what_the_network_gives(
    browser: Page, still: RunFolder, portrait: Path, litertjs: Path, tmp_path: Path
) -> None:
    page = web.write_web(still, litertjs=litertjs)
    image = skimage.data.astronaut()
    with serve(page) as url:
        opened(browser, url)
        answer = shown(browser, portrait)
        check(answer, tiny_litert.expected(cut(image, answer["square"])))
        assert not [text for text in browser.problems if "Content Security Policy" in text or "Uncaught" in text]
        best = int(np.argmax(answer["probabilities"]))
        assert browser.evaluate("document.querySelector('#status').textContent").startswith(LABELS[best])
        values = browser.evaluate("[...document.querySelectorAll('[role=meter]')].map(m => m.ariaValueNow)")
        assert [int(value) for value in values] == [round(100 * p) for p in answer["probabilities"]]

        # The same face as OpenCV's own detector finds.
        x, y, width, _ = create_detector("haar")([image])[0].boxes[0]
        square = answer["square"]
        assert abs(square["x"] + square["size"] / 2 - (x + width / 2)) < 0.1 * width
        assert abs(square["y"] + square["size"] / 2 - (y + width / 2)) < 0.1 * width
        assert 0.8 < square["size"] / width < 1.25

        # A file that is no picture, and a picture without a face.
        (tmp_path / "text.png").write_text("no picture")
        browser.choose_file("#file", tmp_path / "text.png")
        browser.wait("document.querySelector('#status').textContent.includes('text.png is no picture')")
        cv2.imwrite(str(tmp_path / "sky.png"), np.full((60, 90, 3), 200, np.uint8))
        browser.choose_file("#file", tmp_path / "sky.png")
        browser.wait("document.querySelector('#status').textContent.startsWith('No face found')")
        browser.evaluate("document.querySelector('#by-hand').click()")
        by_hand = json.loads(browser.wait("document.body.dataset.answer"))
        assert by_hand["square"] == {"x": 27, "y": 12, "size": 36}  # 60 % of the shorter side, in the middle
        check(by_hand, tiny_litert.expected(np.full((HEIGHT, WIDTH), 200)))
    # The server is gone.
    opened(browser, url)
    again = shown(browser, portrait)
    assert again["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)


@pytest.mark.parametrize("shape", [(20, 24), (7, 9), (31, 200), (96, 48)])
@pytest.mark.parametrize("channels", [1, 3])
def test_browser_resizes_as_in_training(
    browser: Page, still: RunFolder, litertjs: Path, shape: tuple[int, int], channels: int
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    rgba = np.dstack([rgb, np.full(shape, 255, np.uint8)])
    expected = np.asarray(Preprocessing(HEIGHT, WIDTH, channels)(rgb)).astype(int)
    with serve(web.SOURCES) as url:
        browser.open(url + "icon.svg")
        size = json.dumps({"height": HEIGHT, "width": WIDTH, "channels": channels})
        arguments = f"{rgba.ravel().tolist()}, {shape[0]}, {shape[1]}, {size}"
        script = f"import('{url}resample.js').then(m => [...m.networkInput({arguments})])"
        given = np.array(browser.evaluate(script)).reshape(expected.shape)
    difference = np.abs(given - expected)
    assert difference.max() <= 1  # float32 sums in another order
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("streaming", [True, False])
def test_browser_remembers_past_frames(
    browser: Page, clips: dict[bool, RunFolder], portrait: Path, litertjs: Path, streaming: bool
) -> None:
    with serve(web.write_web(clips[streaming], litertjs=litertjs)) as url:
        opened(browser, url)
        answer = shown(browser, portrait)
        face = cut(skimage.data.astronaut(), answer["square"])
        check(answer, tiny_litert.expected_stream([face]))

        # The network alone on six frames, more than its window holds.
        faces = np.random.default_rng(1).integers(0, 256, (6, HEIGHT, WIDTH, 1))
        script = (
            "(async () => {"
            "  const {unloadLiteRt} = await import('@litertjs/core'); unloadLiteRt();"
            "  const description = await (await fetch('model.json')).json();"
            "  const network = await (await import('./network.js')).loadNetwork(description);"
            f"  const faces = {[face.ravel().tolist() for face in faces]}; const answers = [];"
            "  for (const face of faces) answers.push(await network.run(new Float32Array(face)));"
            "  network.reset(); answers.push(await network.run(new Float32Array(faces[0])));"
            "  return answers;"
            "})()"
        )
        *answers, first_again = browser.evaluate(script)
        for count, given in enumerate(answers, start=1):
            seen = faces[:count] if streaming else faces[max(count - FRAMES, 0) : count]
            check(given, tiny_litert.expected_stream(list(seen)))
        assert first_again == answers[0]


def test_browser_follows_the_camera(browser: Page, clips: dict[bool, RunFolder], litertjs: Path) -> None:
    with serve(web.write_web(clips[True], litertjs=litertjs)) as url:
        opened(browser, url)
        browser.evaluate("document.querySelector('#camera').click()")
        first = browser.wait("document.body.dataset.answer")
        browser.wait(f"document.body.dataset.answer && document.body.dataset.answer !== {json.dumps(first)}")
        browser.wait("Number(document.querySelector('#rate').textContent) > 0")
        assert browser.evaluate("document.querySelector('#camera').textContent") == "Stop camera"
        browser.evaluate("document.querySelector('#camera').click()")
        browser.wait("document.querySelector('#rate').textContent === '\u2013'")
        assert not [text for text in browser.problems if "Uncaught" in text]


def test_browser_fits_a_phone_and_names_its_controls(browser: Page, still: RunFolder, litertjs: Path) -> None:
    with serve(web.write_web(still, litertjs=litertjs)) as url:
        browser.resize(390, 844, mobile=True)
        try:
            opened(browser, url)
            assert browser.evaluate("document.documentElement.scrollWidth") <= 390
            heights = "[...document.querySelectorAll('button')].filter(b => !b.hidden).map(b => b.offsetHeight)"
            assert min(browser.evaluate(heights)) >= 44
        finally:
            browser.send("Emulation.clearDeviceMetricsOverride")
        tree = browser.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "slider", "checkbox", "meter", "image", "DisclosureTriangle", "status"}
        named = [(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node["ignored"]]
        controls = [(role, name) for role, name in named if role in roles - {"status"}]
        assert len(controls) >= 6
        assert all(name for _, name in controls), controls
        assert "status" in {role for role, _ in named}
