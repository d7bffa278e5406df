"""What is kept for one visitor of the page, and thrown away when the visitor leaves."""

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from ferkeras.app.camera import Camera
from ferkeras.app.picture import Seen

#: Visitors that are remembered at once. Then the one who asked for nothing for longest is forgotten.
MOST = 32


class Session:
    """One visitor.

    Attributes:
        folder: For results; removed with the session.
        seen: The faces of the last picture.
        camera: The faces followed in the visitor's camera; None while it is off.
        stop: Set to end the video that is being worked on.
        uploads: Files that the visitor sent.
        busy: How many results are being made.
    """

    def __init__(self, root: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=root))
        self.seen: Sequence[Seen] = ()
        self.camera: Camera | None = None
        self.stop = threading.Event()
        self.uploads: set[Path] = set()
        self.busy = 0

    def uploaded(self, path: str) -> Path:
        """`path` of a file that the visitor sent, which is removed with the session."""
        self.uploads.add(Path(path))
        return Path(path)

    @contextmanager
    def results(self) -> Iterator[Path]:
        """A new folder for what is about to be made; removed at once if that fails."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self.busy += 1
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self.busy -= 1

    def close(self, *, keep: Set[Path] = frozenset()) -> None:
        """Ends what runs and removes the visitor's files, but for uploads in `keep`."""
        self.stop.set()
        self.camera = None
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.uploads - keep:
            shutil.rmtree(path.parent, ignore_errors=True)  # Gradio gives each file a folder of its own


class Sessions:
    """All visitors by the name that the browser gives itself.

    Args:
        root: The folder in which theirs are made.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str | None) -> Session:
        """The session of this name, a new one if there is none."""
        with self._lock:
            session = self._open.pop(name or "", None) or Session(self._root)
            self._open[name or ""] = session
            idle = [other for other, old in self._open.items() if old is not session and not old.busy]
            for other in idle[: max(len(self._open) - MOST, 0)]:
                self._close(other)
        return session

    def close(self, name: str | None) -> None:
        """Forgets one visitor."""
        with self._lock:
            self._close(name or "")

    def _close(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is not None:
            # The same file from two visitors is one file to Gradio.
            session.close(keep=set().union(*(other.uploads for other in self._open.values())))
