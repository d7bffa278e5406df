"""The order of the house (design): imports point downward, heavy packages stay where they belong."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A module may import from its own level and those before it.
LEVELS: list[set[str]] = [
    {"errors", "fields", "files", "labels", "recipe", "recipe_checks", "recipe_data"},
    {"layers", "losses", "metrics", "plots", "recipes"}
    | {"valence_arousal", "affect_losses", "affect_metrics", "affect_report", "affect_plots"},
    {"models", "data", "faces", "pictures", "rows", "video", "corruptions"},
    {"runs", "modelcard", "calibration", "half_weights"},
    {"aggregation", "training", "evaluation", "inference", "robustness", "stn_sheet", "views"},
    {"export", "serving", "web", "cleaning", "comparison", "crossvalidation", "tuning", "shipping"}
    | {"benchmark", "benchmark_artifacts", "artifacts", "prediction", "annotation", "explain"},
    {"app"},
    {"cli"},
]
#: Where `import tensorflow` may stand.
TENSORFLOW = (
    "ferkeras/data/",
    "ferkeras/explain/gradients.py",
    "ferkeras/export/",
    "ferkeras/benchmark.py",
    "ferkeras/faces/mtcnn.py",
    "ferkeras/serving.py",
    "ferkeras/training/cpu/",
    "ferkeras/training/distribute.py",
    "ferkeras/training/replicas.py",
)
#: What builders may use of this package.
BUILDERS_MAY_USE = {"errors", "faces", "files", "labels", "pictures", "video"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that `path` imports, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(dotted: str) -> str | None:
    """`ferkeras.data.report.Report` -> `data`; None for other packages and for the bare package."""
    words = dotted.split(".")
    return words[1] if words[0] == "ferkeras" and len(words) > 1 and words[1] != "__version__" else None


def level(name: str) -> int:
    found = [index for index, names in enumerate(LEVELS) if name in names]
    assert found, f"ferkeras.{name} has no level: give it one in {Path(__file__).name}"
    return found[0]


def test_imports_point_downward() -> None:
    for path in sources("ferkeras"):
        relative = path.relative_to(ROOT / "ferkeras")
        own = relative.parts[0].removesuffix(".py")
        if own == "__init__":
            allowed = {"importlib.import_module", "typing.TYPE_CHECKING", "typing.Any"}
            assert set(imports(path)) <= allowed | {"ferkeras.prediction.predictor.Predictor"}, "lazy, see below"
            continue
        for dotted in imports(path):
            other = part(dotted)
            if other is not None:
                assert level(other) <= level(own), f"{relative} imports {dotted}, which lies above it"


def test_tensorflow_stays_where_it_belongs() -> None:
    for path in sources("ferkeras"):
        relative = path.relative_to(ROOT).as_posix()
        if any(dotted.split(".")[0] == "tensorflow" for dotted in imports(path)):
            # The quiet import of the commands is the one exception: it only loads what others use.
            assert relative.startswith(TENSORFLOW) or relative == "ferkeras/cli/command.py", relative


def test_the_bottom_needs_the_standard_library_alone() -> None:
    for name in LEVELS[0]:
        for dotted in imports(ROOT / "ferkeras" / f"{name}.py"):
            top = dotted.split(".")[0]
            assert top == "ferkeras" or top in sys.stdlib_module_names, f"{name}.py imports {dotted}"


def test_models_and_layers_never_see_a_recipe() -> None:
    for path in [*sources("ferkeras/models"), *sources("ferkeras/layers")]:
        assert not {part(dotted) for dotted in imports(path)} & {"recipe", "recipes"}, path


def test_recipes_need_only_recipes() -> None:
    for path in sources("ferkeras/recipes"):
        assert {part(dotted) for dotted in imports(path)} <= {None, "errors", "recipe", "recipe_data", "recipes"}, path


def test_builders_use_little_of_the_package() -> None:
    for path in sources("tfds_builders"):
        for dotted in imports(path):
            assert part(dotted) is None or part(dotted) in BUILDERS_MAY_USE, f"{path.name} imports {dotted}"


def test_no_assert_outside_tests_and_no_utils() -> None:
    for path in [*sources("ferkeras"), *sources("tfds_builders"), ROOT / "train.py", ROOT / "evaluate.py"]:
        assert path.name != "utils.py"
        if not path.name.endswith("_test.py"):
            asserts = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Assert)]
            assert not asserts, f"{path} line {asserts[0].lineno}"


@pytest.mark.parametrize("module", ["ferkeras", "ferkeras.recipe", "ferkeras.models", "ferkeras.cli.__main__"])
def test_light_modules_load_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([n for n in ('tensorflow', 'keras', 'numpy', 'cv2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["tune", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['ferkeras', *{words}]\n"
        "from ferkeras.cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "print([n for n in ('tensorflow', 'keras', 'tensorflow_datasets', 'cv2') if n in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_every_part_has_a_level() -> None:
    names = {p.name.removesuffix(".py") for p in (ROOT / "ferkeras").iterdir() if p.suffix == ".py" or p.is_dir()}
    names -= {"__init__", "__pycache__", "py.typed"}
    assert names == set().union(*LEVELS)
