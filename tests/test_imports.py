"""Which packages of nmt/ may import which, and what no module may use."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmt

PACKAGE = Path(nmt.__file__).parent

# From low to high; a module may import from its own package and from packages in lower layers.
LAYERS: list[set[str]] = [
    {"version"},
    {"errors", "limits", "signals", "torchrun"},
    {"console", "device", "files"},
    {"distributed", "progress"},
    {"config"},
    {"data", "model"},
    {"runs"},
    {"search"},
    {"clean", "parsing"},
    {"translate"},
    {"documents"},
    {"evaluation"},
    {"convert"},
    {"hub"},
    {"training"},
    {"check"},
    {"engines"},
    {"api"},
    {"nmt"},  # __init__, which imports api on first use
    {"reproduce", "report", "serve"},
    {"recipe"},
    {"cli"},
    {"__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return all modules, parsed, by dotted name."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text("utf-8"), str(path))
    assert len(trees) > 20
    return trees


def package(module: str) -> str:
    """Return the part of nmt that a module belongs to."""
    return module.split(".")[1] if "." in module else "nmt"


def imports(module: str) -> Iterator[str]:
    """Yield the modules of nmt that a module imports, also in functions or for types only."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = []
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.append(full if full in modules() else node.module or "")
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "nmt")


def test_every_package_is_in_a_layer() -> None:
    assert {package(module) for module in modules()} <= LAYER.keys()


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_from_lower_layers_only(module: str) -> None:
    for imported in imports(module):
        here, there = package(module), package(imported)
        allowed = here == there or LAYER[there] < LAYER[here]
        assert allowed, f"{module} imports {imported}"


def test_no_circular_imports() -> None:
    graph = {module: set(imports(module)) - {module} for module in modules()}
    while free := [module for module, needs in graph.items() if not needs & graph.keys()]:
        for module in free:
            del graph[module]
    assert not graph, f"circle among {sorted(graph)}"


def test_search_and_evaluation_are_independent_of_models() -> None:
    def reached(module: str) -> set[str]:
        direct = set(imports(module))
        return direct.union(*(reached(other) for other in direct - {module}))

    search = {package(module) for module in reached("nmt.search.beam")}
    assert search.isdisjoint({"model", "data", "runs"})
    evaluate = {
        package(imported)
        for module in ("nmt.evaluation.metrics", "nmt.evaluation.testsets")
        for imported in reached(module)
    }
    assert evaluate.isdisjoint({"model", "runs", "translate"})


# ---------------------------------------------------------------- forbidden names

_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
_CALLS = {"eval", "exec", "compile", "__import__"}
_ATTRIBUTES = {"extractall", "splitlines", "readlines", "load_module"}
_QUALIFIED = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "np.load"}


def forbidden(tree: ast.Module) -> Iterator[str]:
    """Yield names that may run code from data, or that split lines at more than line feeds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            if (node.module or "").split(".")[0] in _MODULES:
                yield node.module or ""
            yield from (name for name in names if name in _QUALIFIED)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in _CALLS:
                yield node.func.id
        elif isinstance(node, ast.Attribute):
            if node.attr in _ATTRIBUTES:
                yield node.attr
            if isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in _QUALIFIED:
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


@pytest.mark.parametrize("module", modules())
def test_no_module_uses_a_forbidden_name(module: str) -> None:
    assert list(forbidden(modules()[module])) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import pickle",
        "torch.load(path)",
        "from torch import load",
        "yaml.load(text, Loader)",
        "eval('1')",
        "exec(text)",
        "archive.extractall()",
        "text.splitlines()",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_forbidden_names_are_detected(code: str) -> None:
    assert list(forbidden(ast.parse(code)))


def test_harmless_names_are_not_forbidden() -> None:
    harmless = "network.eval()\nre.compile('x')\nyaml.safe_load(text)\nsafetensors.torch.load(x)"
    assert list(forbidden(ast.parse(harmless))) == []


# ---------------------------------------------------------------- text for the terminal


def unescaped(module: str) -> Iterator[str]:
    """Yield names that bypass `nmt.console`, and messages with line feeds, which are escaped."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
            yield from (a.name for a in node.names if a.name == "Console")
        elif isinstance(node, ast.Attribute) and node.attr == "from_markup":
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name.endswith("Error") or name == "Interrupted":
                strings = (part for part in ast.walk(node) if isinstance(part, ast.Constant))
                yield from (s.value for s in strings if "\n" in str(s.value))


@pytest.mark.parametrize("module", sorted(modules().keys() - {"nmt.console"}))
def test_nothing_reaches_the_terminal_unescaped(module: str) -> None:
    assert list(unescaped(module)) == []


# ---------------------------------------------------------------- torch is imported late

_RUN = """
import sys
from nmt.cli import make_app
try:
    make_app(sys.argv[1:])(sys.argv[1:])
except SystemExit as end:
    code = end.code
heavy = {"torch", "numpy", "datasets", "pyarrow", "sentencepiece", "sacrebleu", "huggingface_hub"}
heavy &= sys.modules.keys()
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["train", "--help"], 0),
        (["translate", "--help"], 0),
        (["config", "good.yaml"], 0),
        (["config", "--schema"], 0),
        (["config", "bad.yaml"], 2),
        (["train", "bad.yaml"], 2),
        (["check", "bad.yaml"], 2),
        (["train", "missing.yaml"], 4),
        (["reproduce", "bad.yaml"], 2),
        (["reproduce", "missing"], 2),
        (["average", "run"], 2),
        (["clean", "--list"], 0),
        (["clean", "x.en", "x.de", "lenght=false"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_errors_do_not_import_torch(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    good = "data: {src_lang: en, tgt_lang: de, train: {demo: train}}\n"
    (tmp_path / "good.yaml").write_text(good, "utf-8")
    (tmp_path / "bad.yaml").write_text(good + "trian: {}\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- design

# Options of other programs that appear in messages.
_FOREIGN_FLAGS = {"--list", "--download", "--language-pair", "--bos_id", "--eos_id", "--leaves"}
_FOREIGN_FLAGS |= {"--control_symbols"}


@pytest.mark.parametrize("module", [m for m in modules() if not m.startswith("nmt.cli")])
def test_only_the_command_line_knows_flags(module: str) -> None:
    strings = (
        node.value
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    flags = {flag for text in strings for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", text)}
    assert flags <= _FOREIGN_FLAGS


@pytest.mark.parametrize("module", modules())
def test_functions_are_short(module: str) -> None:
    limit = 40 if module.startswith("nmt.cli") else 60
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= limit, f"{module}.{node.name} has {lines} lines"


def test_declared_dependencies_are_those_imported() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    names = {"yaml": "pyyaml", "markdown_it": "markdown-it-py"}
    names |= {each: each.replace("_", "-") for each in ("prometheus_client", "python_multipart")}
    imported = set()
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"nmt"}
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        re.split("[<>=\\[]", each)[0]
        for each in [
            *project["dependencies"],
            *extras["serve"],
            *extras["clean"],
            *extras["formats"],
        ]
    }
    assert {names.get(name, name) for name in third_party} == declared
