"""The page in a browser, and under load. Wants Gradio, Playwright (`pip install playwright`) and a Chromium."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ferkeras.app.model import Model
from ferkeras.app.server import serving
from ferkeras.prediction.predictor import Predictor
from tests.browser import find_chromium
from tests.make_video import write_video
from tests.tiny_networks import BOTH
from tests.tiny_runs import still_run

pytest.importorskip("gradio", reason="Gradio is not installed: the extra app brings it")
httpx = pytest.importorskip("httpx")
MAX_BYTES = 3 * 1024**2
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a page with two tiny runs, and the folder of its files."""
    root = tmp_path_factory.mktemp("runs")
    runs = [still_run(root / name, BOTH) for name in ("one", "two")]
    for run in runs:
        (run.path / "README.md").write_text(f"# {run.path.name}\n\nMade without training.\n")
    models = [Model(Predictor(run.path, detector="haar")) for run in runs]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "NO_PROXY", "no_proxy", "HF_HUB_OFFLINE"):
            patch.setenv(name, "")  # so that what the server sets is taken back
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
        with serving(models, host="127.0.0.1", port=port, max_bytes=MAX_BYTES) as address:
            import os

            folder = Path(os.environ["GRADIO_TEMP_DIR"])
            yield address.rstrip("/"), folder
        assert not folder.exists()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = find_chromium()
    if executable is None:
        pytest.skip("there is no Chromium; FERKERAS_CHROMIUM names one")
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, served: tuple[str, Path]) -> Iterator[Any]:
    """The page, opened. No error is written to its console, and nothing is asked of another machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["camera"])
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if _leaves(request.url, served[0]) else None)
    page.goto(served[0])
    page.get_by_role("tab", name="Image").wait_for()
    yield page
    context.close()
    assert not problems


def _leaves(url: str, address: str) -> bool:
    return not url.startswith((address, "data:", "blob:"))


def _tab(page: Any, name: str) -> Any:
    page.get_by_role("tab", name=name).click()
    return page.locator("[role=tabpanel]:visible")


def test_image(page: Any, portrait: Path, served: tuple[str, Path]) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    panel = _tab(page, "Image")
    panel.locator("input[type=file]").set_input_files(portrait)
    status = panel.get_by_role("status").filter(has_text="1 face: person 0")
    status.wait_for()
    assert panel.locator("dt").count() == 9  # seven emotions, valence, arousal
    annotated = panel.get_by_role("img", name="1 face: person 0")
    assert annotated.evaluate("image => image.naturalWidth") == 512
    with page.expect_download() as download:
        panel.get_by_role("link", name="Download the table").or_(
            panel.get_by_role("button", name="Download the table")
        ).first.click()
    assert Path(download.value.path()).read_text().splitlines()[1].startswith("portrait.png,0,,0,1,")
    panel.get_by_role("button", name="What counted").click()
    panel.get_by_role("img", name="in face 0").wait_for()
    assert list(served[1].glob("session-*/*/*.annotated.jpg"))
    page.goto("about:blank")
    _until(page, lambda: not list(served[1].glob("session-*")))


def test_a_phone_needs_no_sideways_scrolling(page: Any, portrait: Path) -> None:
    page.set_viewport_size(PHONE)
    for name in ("Image", "Video", "Camera", "Compare", "About"):
        _tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name


def test_tabs_and_upload_by_keyboard(page: Any, portrait: Path) -> None:
    def focus(expression: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate(f"(element => {expression})(document.activeElement)"):
                return
        raise AssertionError(f"{expression} cannot be reached")

    focus("element.getAttribute('role') === 'tab' && element.innerText === 'Compare'")
    page.keyboard.press("Enter")
    assert page.get_by_role("tab", selected=True).inner_text() == "Compare"
    focus("element.tagName === 'BUTTON' && element.closest('[role=tabpanel]') !== null")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(portrait)
    page.get_by_role("status").filter(has_text="1 face").first.wait_for()


def test_video(page: Any, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    portrait = skimage.data.astronaut()[:256, 100:356]
    write_video(film, frames=30, picture=lambda index: np.roll(portrait, index, axis=1))
    panel = _tab(page, "Video")
    panel.locator("input[type=file]").set_input_files(film)
    panel.get_by_text("film").first.wait_for()
    panel.get_by_role("button", name="Analyse").click()
    panel.get_by_role("status").filter(has_text="30 frames in").wait_for(timeout=60_000)
    panel.locator("video").first.wait_for()
    _until(page, lambda: abs((panel.locator("video").first.evaluate("v => v.duration") or 0) - 1.2) < 0.05)
    panel.get_by_role("img", name="Timeline").wait_for()
    assert panel.get_by_role("region", name="People in film.mp4").is_visible()


def test_camera(page: Any) -> None:
    panel = _tab(page, "Camera")
    panel.get_by_role("button", name="Webcam").click()
    panel.get_by_role("button", name="capture photo").click()
    figures = panel.locator(".figures")
    figures.wait_for()
    _until(page, lambda: float(figures.inner_text().split()[0]) > 0)
    assert "ms a frame" in figures.inner_text()
    panel.get_by_role("button", name="capture photo").click()


def test_compare_and_about(page: Any, portrait: Path) -> None:
    panel = _tab(page, "Compare")
    panel.locator("input[type=file]").first.set_input_files(portrait)
    _until(page, lambda: panel.get_by_role("status").filter(has_text="1 face").count() == 2)
    text = _tab(page, "About").inner_text()
    assert "2024/1689" in text
    assert text.count("Made without training.") == 2


def test_no_picture_is_told(page: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "page.jpg"
    wrong.write_text("<html>")
    _tab(page, "Image").locator("input[type=file]").set_input_files(wrong)
    message = page.get_by_text("Received: page.jpg.")
    message.wait_for()
    assert "Traceback" not in page.content()


def test_twenty_at_once(served: tuple[str, Path], portrait: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: _ask(served[0], f"{number}.png", portrait.read_bytes()), range(20)))
    assert all("1 face: person 0" in answer for answer in answers), answers


def test_what_does_not_break_it(served: tuple[str, Path], portrait: Path) -> None:
    address = served[0]
    assert _upload(address, "big.mp4", bytes(200 * 1024**2)).status_code == 413
    parts = [b'--x\r\nContent-Disposition: form-data; name="files"; filename="b.mp4"\r\n\r\n']
    parts += [bytes(1024**2)] * 20
    endless = httpx.post(
        f"{address}/gradio_api/upload",
        content=iter(parts),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert endless.status_code == 413
    assert "The file is empty" in _ask(address, "empty.png", b"")
    for path in ("/etc/passwd", str(portrait), "http://example.com/a.png"):
        assert "event: error" in _call(address, "picture", [{"path": path, "meta": {"_type": "gradio.FileData"}}])
        assert httpx.get(f"{address}/gradio_api/file={path}", follow_redirects=False).status_code == 403
    assert "1 face: person 0" in _ask(address, "again.png", portrait.read_bytes())


def test_answers_forbid_to_leave(served: tuple[str, Path]) -> None:
    policy = httpx.get(served[0]).headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert "fonts.googleapis" not in httpx.get(f"{served[0]}/theme.css").text


def _upload(address: str, name: str, data: bytes) -> Any:
    return httpx.post(f"{address}/gradio_api/upload", files={"files": (name, data)}, timeout=60)


def _call(address: str, name: str, data: list[Any]) -> str:
    event = httpx.post(f"{address}/gradio_api/call/{name}", json={"data": data}, timeout=60).json()["event_id"]
    return httpx.get(f"{address}/gradio_api/call/{name}/{event}", timeout=120).text


def _ask(address: str, name: str, data: bytes) -> str:
    (path,) = json.loads(_upload(address, name, data).text)
    return _call(address, "picture", [{"path": path, "meta": {"_type": "gradio.FileData"}}])


def _until(page: Any, true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        page.wait_for_timeout(100)
    raise TimeoutError("it did not come true in 30 s")
