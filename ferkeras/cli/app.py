"""A page on this machine that shows what a run says of pictures, videos and a camera, until Ctrl-C.

Without RUN it is the most accurate of the shipped runs under --runs.
"""

import argparse
import sys
from pathlib import Path

from ferkeras.cli.command import add_run_argument, load_tensorflow

#: Addresses that only this machine can reach.
_LOCAL = ("127.0.0.1", "localhost", "::1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser, optional=True)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="port to listen at (7860)")
    parser.add_argument("--compare", metavar="RUN", help="a second run, shown beside the first")
    parser.add_argument("--detector", default="mtcnn", metavar="NAME", help="what finds faces (mtcnn); none: crops")
    parser.add_argument("--detector-file", type=Path, metavar="FILE", help="weights of the detectors yunet and ssd")
    parser.add_argument("--min-face", type=int, default=40, metavar="PIXELS", help="side of the smallest face (40)")
    parser.add_argument("--max-upload", type=int, default=100, metavar="MIB", help="size of the largest upload (100)")


def run(args: argparse.Namespace) -> None:
    from ferkeras.app.server import check_address, check_gradio
    from ferkeras.cli.run_choice import choose_run
    from ferkeras.errors import InputError
    from ferkeras.runs import RunFolder

    if args.max_upload < 1:
        raise InputError("--max-upload must be at least 1", received=args.max_upload)
    # The one word that there may be is a run: a picture is chosen in the page.
    folders = [RunFolder.find(args.run_name, root=args.runs) if args.run_name else choose_run([], root=args.runs)[0]]
    if args.compare:
        folders.append(RunFolder.find(args.compare, root=args.runs))
    check_gradio()
    check_address(args.host, args.port)
    load_tensorflow()
    from ferkeras.app.model import Model
    from ferkeras.app.server import serving, wait
    from ferkeras.prediction.predictor import Predictor

    models = [
        Model(
            Predictor(
                folder.path,
                detector=args.detector,
                detector_file=args.detector_file,
                min_face=args.min_face,
            )
        )
        for folder in folders
    ]
    if args.host not in _LOCAL:
        print(
            f"ferkeras: Everyone who can reach {args.host} can use this page: there is no password, and pictures "
            "travel unencrypted.",
            file=sys.stderr,
        )
    with serving(models, host=args.host, port=args.port, max_bytes=args.max_upload * 1024**2) as address:
        print(f"ferkeras: {address} (Ctrl-C ends it)", file=sys.stderr)
        wait()
