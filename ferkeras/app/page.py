"""How the page looks and what each part of it asks for: five tabs, built with Gradio."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from ferkeras.app import markup
from ferkeras.app.about import about
from ferkeras.app.camera import Camera, decode_frame, encode_frame
from ferkeras.app.explanation import Explainer
from ferkeras.app.model import Model
from ferkeras.app.picture import answer
from ferkeras.app.session import Sessions
from ferkeras.app.video import analyse
from ferkeras.errors import InputError
from ferkeras.explain.maps import METHODS

#: Seconds between two frames that a browser sends, at least.
EVERY_S = 0.05
VIDEO_SUFFIXES = [".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"]

STYLE = """
h1 { overflow-wrap: anywhere; }
.faces { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.faces h3, .said p { margin: 0 0 .4rem; font-weight: 600; }
.faces dl { margin: 0; } .faces dl > div { display: grid; grid-template-columns: 5.5rem 1fr; align-items: center; }
.faces dt, .faces dd { margin: 0; } .faces dd { display: flex; gap: .5rem; align-items: center; }
.faces dd > span:last-child { min-width: 4rem; text-align: right; font-variant-numeric: tabular-nums; }
.track { flex: 1; height: .8rem; border: 1px solid var(--body-text-color-subdued); border-radius: 3px; }
.track > span { display: block; height: 100%; background: #0072B2; }
.scroll { overflow-x: auto; } .scroll table { border-collapse: collapse; font-size: .85rem; }
.scroll caption { text-align: left; font-weight: 600; }
.scroll th, .scroll td { padding: .2rem .5rem; border: 1px solid var(--border-color-primary); white-space: nowrap; }
.scroll td.number { text-align: right; font-variant-numeric: tabular-nums; }
.live { margin: 0; } .live img { width: 100%; } .live .figures { font-variant-numeric: tabular-nums; }
progress { width: 100%; height: 1rem; accent-color: #0072B2; }
:focus-visible { outline: 3px solid #0072B2 !important; outline-offset: 2px; }
@media (max-width: 640px) {
  .gradio-container main { padding: .75rem !important; }
  .tab-container button { padding: 0 .45rem !important; }
  h1 { font-size: 1.4rem !important; }
  .card th, .card td { font-size: .75rem; padding: .2rem !important; word-break: normal; }
}
"""


def theme() -> gr.themes.Base:
    """Fonts of the visitor's system: none is fetched. Buttons and links with a contrast of at least 4.5."""
    return gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="#0b5394",
        button_primary_background_fill_hover="#073763",
        button_primary_text_color="white",
        body_text_color_subdued="#52525b",
        body_text_color_subdued_dark="#d4d4d8",
    )


def build(models: Sequence[Model], sessions: Sessions, *, cleaning_s: tuple[int, int]) -> gr.Blocks:
    """The page.

    Args:
        models: One run, or two to compare.
        sessions: Of the visitors.
        cleaning_s: Seconds between two looks for old files, and after which a file is old.
    """
    model = models[0]
    with gr.Blocks(title=f"ferkeras: {model.name}", analytics_enabled=False, delete_cache=cleaning_s) as page:
        gr.HTML(
            f"<h1>Facial expressions: {escape(model.name)}</h1>"
            "<p>An expression is not a feeling: see <em>About</em> for what this may be used for.</p>"
        )
        with gr.Tabs():
            with gr.Tab("Image"):
                _image(model, sessions)
            with gr.Tab("Video"):
                _video(model, sessions)
            with gr.Tab("Camera"):
                _camera(model, sessions)
            with gr.Tab("Compare"):
                _compare(models, sessions)
            with gr.Tab("About"):
                gr.Markdown(about([each.predictor.folder for each in models]), elem_classes="card")
        _forget(page, sessions)
    page.queue(max_size=64, default_concurrency_limit=1)
    return page


def _forget(page: gr.Blocks, sessions: Sessions) -> None:
    def forget(request: gr.Request) -> None:
        sessions.close(request.session_hash)

    page.unload(forget)


@contextmanager
def _told() -> Iterator[None]:
    """Shows the visitor what is wrong with the input; other failures stay in the log of the program."""
    try:
        yield
    except InputError as error:
        raise gr.Error(escape(str(error)), duration=None, print_exception=False) from None


def _uploaded(component: Any) -> Any:
    """Has an input take uploads alone: Gradio would fetch a file from any address that a request names."""
    keep = component.async_move_resource_to_block_cache

    async def refuse_addresses(path: Any) -> Any:
        if "://" in str(path):
            raise gr.Error("Files are uploaded, and not fetched from an address.", print_exception=False)
        return await keep(path)

    component.async_move_resource_to_block_cache = refuse_addresses
    return component


def _upload(label: str) -> gr.Image:
    """A picture as the path of the file that was sent: Gradio would decode it without the limits of this package."""
    picture = _uploaded(gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", image_mode=None))
    picture.preprocess = lambda payload: None if payload is None else payload.path
    return picture


def _image(model: Model, sessions: Sessions) -> None:
    if model.predictor.takes_clips:
        gr.Markdown("This network looks at faces over time: give it a video or the camera.")
        return
    explainer = Explainer(model)
    with gr.Row():
        given = _upload("Picture")
        annotated = gr.Image(label="Faces found", interactive=False, buttons=["download", "fullscreen"])
    said, bars, table = gr.HTML(elem_classes="said"), gr.HTML(), gr.HTML()
    rows = gr.DownloadButton("Download the table (CSV)", interactive=False)
    with gr.Row():
        face = gr.Dropdown([], label="Face", info="Number of the person in the picture")
        target = gr.Dropdown(list(explainer.targets), value=explainer.targets[0], label="Class")
        method = gr.Dropdown(list(METHODS), value="hirescam", label="Method")
    why = gr.Button("What counted for it", interactive=False)
    heat = gr.Image(label="What counted", interactive=False, buttons=["download"], visible=False)

    def show(path: str | None, request: gr.Request) -> list[Any]:
        session = sessions.get(request.session_hash)
        session.seen = ()
        nothing = [
            gr.DownloadButton(interactive=False),
            gr.Dropdown([], value=None),
            gr.skip(),
            gr.Button(interactive=False),
        ]
        if path is None:
            return [None, "", "", "", *nothing, gr.Image(None, visible=False)]
        with _told(), session.results() as folder:
            found = answer(model, session.uploaded(path), folder)
        session.seen = found.seen
        faces = list(range(len(found.seen)))
        return [
            gr.Image(str(found.annotated), alt_text=found.said),
            markup.status(found.said),
            found.bars,
            found.table,
            gr.DownloadButton(value=str(found.rows), interactive=True),
            gr.Dropdown(faces, value=faces[0] if faces else None),
            best(faces[0] if faces else None, request),
            gr.Button(interactive=bool(faces)),
            gr.Image(None, visible=False),
        ]

    def best(number: int | None, request: gr.Request) -> Any:
        seen = sessions.get(request.session_hash).seen
        found = seen[number].best if number is not None and 0 <= number < len(seen) else None
        return gr.skip() if found is None else gr.Dropdown(value=found)

    def explain(number: int | None, name: str, how: str, request: gr.Request) -> gr.Image:
        session = sessions.get(request.session_hash)
        with _told(), session.results() as folder:
            if number is None or not 0 <= number < len(session.seen):
                raise InputError("There is no such face", received=number, action="Give a picture with a face first.")
            path, speaks = explainer(session.seen[number].crop, name, how, folder)
        said = f"what spoke for {name} in face {number}" if speaks else f"nothing in face {number} spoke for {name}"
        return gr.Image(str(path), visible=True, alt_text=said, label=f"{how}: {said}")

    given.change(show, given, [annotated, said, bars, table, rows, face, target, why, heat], api_name="picture")
    face.input(best, face, target, api_visibility="private")
    why.click(explain, [face, target, method], heat, api_name="explain")


def _video(model: Model, sessions: Sessions) -> None:
    given = _uploaded(gr.File(label="Video", file_types=VIDEO_SUFFIXES, type="filepath"))
    with gr.Row():
        start = gr.Button("Analyse", variant="primary")
        stop = gr.Button("Stop", variant="stop", interactive=False)
    said = gr.HTML()
    film = gr.Video(label="Annotated video", interactive=False, buttons=["download"], visible=False)
    timeline = gr.Image(label="Timeline", interactive=False, buttons=["download", "fullscreen"], visible=False)
    summary = gr.HTML()
    rows = gr.DownloadButton("Download the table (CSV)", interactive=False)
    outputs = [said, film, timeline, summary, rows, start, stop]

    def show(path: str | None, request: gr.Request) -> Iterator[list[Any]]:
        idle = [gr.Button(interactive=True), gr.Button(interactive=False)]
        with _told():
            if path is None:
                raise InputError("There is no video yet", action="Choose a file first.")
        session = sessions.get(request.session_hash)
        session.stop.clear()
        before = [
            gr.Video(None, visible=False),
            gr.Image(None, visible=False),
            "",
            gr.DownloadButton(interactive=False),
        ]
        try:
            with _told(), session.results() as folder:
                for news in analyse(model, session.uploaded(path), folder, stop=session.stop.is_set):
                    if news.film is None:
                        busy = [gr.Button(interactive=False), gr.Button(interactive=True)]
                        yield [markup.status(news.said, done=news.done), *before, *busy]
                    else:
                        yield [
                            markup.status(news.said),
                            gr.Video(str(news.film), visible=True),
                            gr.Image(str(news.timeline), visible=True, alt_text=f"Timeline. {news.said}"),
                            news.summary,
                            gr.DownloadButton(value=str(news.rows), interactive=True),
                            *idle,
                        ]
        except gr.Error:
            yield [markup.status("The video could not be analysed."), *before, *idle]
            raise

    def end(request: gr.Request) -> None:
        sessions.get(request.session_hash).stop.set()

    start.click(show, given, outputs, api_name="video", show_progress="hidden")
    stop.click(end, queue=False, api_name="stop")


def _camera(model: Model, sessions: Sessions) -> None:
    with gr.Row():
        given = _uploaded(gr.Image(label="Camera", sources=["webcam"], streaming=True, min_width=320))
        # Frames come inside the message; they touch no disk.
        given.preprocess = lambda payload: None if payload is None else payload.url
        with gr.Column(min_width=320):
            shown = gr.HTML("<p>Start the camera: frames go to the machine that runs this page, and are not kept.</p>")

    def show(url: str | None, request: gr.Request) -> str:
        if url is None:
            return gr.skip()
        session = sessions.get(request.session_hash)
        session.camera = session.camera or Camera(model)
        with _told():
            view = session.camera(decode_frame(url))
        figures = f"{view.fps:.1f} frames/s, {view.latency_ms:.0f} ms a frame"
        return markup.live(encode_frame(view.image), markup.sentence(view.result), figures)

    given.stream(show, given, shown, stream_every=EVERY_S, show_progress="hidden", api_name="camera")


def _compare(models: Sequence[Model], sessions: Sessions) -> None:
    if len(models) < 2:
        gr.Markdown("Start the page with `--compare RUN` to see a second run beside this one.")
        return
    if any(model.predictor.takes_clips for model in models):
        gr.Markdown("Runs are compared on pictures, and one of these looks at faces over time.")
        return
    given = _upload("Picture for both")
    outputs = []
    with gr.Row():
        for model in models:
            with gr.Column():
                gr.Markdown(f"### {model.name}")
                outputs += [
                    gr.Image(label=model.name, interactive=False, buttons=["download", "fullscreen"]),
                    gr.HTML(),
                ]

    def show(path: str | None, request: gr.Request) -> list[Any]:
        session = sessions.get(request.session_hash)
        shown: list[Any] = []
        for model in models:
            if path is None:
                shown += [None, ""]
                continue
            with _told(), session.results() as folder:
                found = answer(model, session.uploaded(path), folder)
            shown += [gr.Image(str(found.annotated), alt_text=found.said), markup.status(found.said) + found.bars]
        return shown

    given.change(show, given, outputs, api_name="compare")
