"""Any bytes in a file lead to success or to a documented error.

Random bytes seldom get past the first check of a reader, so most examples are valid files with a
few bytes changed. The manifest of a model is updated to match.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmt.config.data import DataConfig
from nmt.config.load import load_config
from nmt.console import Console
from nmt.data.corpus import read_pairs
from nmt.data.tokenizer import Tokenizer
from nmt.errors import NmtError
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.model import load_model
from nmt.training.average import average_checkpoints
from nmt.training.monitor import Monitor

DOCUMENTED = {2, 3, 4, 5}

fuzz = functools.partial(
    settings,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def only_documented_errors(function: Callable[[], object]) -> bool:
    """Call a function, and check that it raises no errors but those with documented exit codes.

    Returns:
        Whether the call succeeded.
    """
    caught: NmtError | None = None
    try:
        function()
    except NmtError as error:
        caught = error
    assert caught is None or (caught.exit_code in DOCUMENTED and str(caught))
    return caught is None


@st.composite
def changed(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw the bytes of a valid file with a few of them flipped, deleted, inserted or cut off."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        # Most formats keep their headers and indexes at the ends.
        near = st.integers(0, min(len(data), 100))
        place = draw(st.one_of(near, near.map(lambda n: len(data) - n), st.integers(0, len(data))))
        match draw(st.sampled_from(["flip", "byte", "delete", "insert", "repeat", "cut"])):
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "byte" if place < len(data):
                data[place] = draw(st.integers(0, 255))
            case "delete":
                del data[place : place + draw(st.integers(1, 20))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=20))
            case "repeat":
                data[place:place] = data[place : place + draw(st.integers(1, 40))]
            case "cut":
                del data[place:]
    return bytes(data)


def contents(valid: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for changed or random bytes."""
    return st.one_of(changed(valid), changed(valid), changed(valid), st.binary(max_size=200))


# ---------------------------------------------------------------- corpora and configurations

LINES = "the cat\na dog\nüber\t日本\r\n\n".encode()
RECORDS = [{"en": "the cat", "de": {"x": "die Katze", "y": None}}, {"en": "ü", "de": {"x": ""}}]


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), file)
    return file.getvalue()


CORPORA = {
    "plain": (LINES, {"src": "corpus", "tgt": "corpus"}),
    "gz": (gzip.compress(LINES, mtime=0), {"src": "corpus", "tgt": "corpus"}),
    "tsv": (b"de\ten\nKatze\tcat\n", {"tsv": "corpus", "src_column": "en", "tgt_column": 0}),
    "jsonl": (
        b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS),
        {"jsonl": "corpus", "tgt_key": "de.x"},
    ),
    "parquet": (parquet(), {"parquet": "corpus", "tgt_key": "de.x"}),
}


@pytest.mark.parametrize("invalid", ["error", "skip"])
@pytest.mark.parametrize("kind", CORPORA)
def test_any_corpus(
    kind: str, invalid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    valid, corpus = CORPORA[kind]
    data = DataConfig.model_validate(
        {"src_lang": "en", "tgt_lang": "de", "train": corpus, "invalid_utf8": invalid}
    )

    def read() -> None:
        for pair in read_pairs(data.train[0], data):
            assert "\n" not in pair.src + pair.tgt
            (pair.src + pair.tgt).encode("utf-8")

    @fuzz(max_examples=100)
    @given(contents(valid))
    def check(content: bytes) -> None:
        Path("corpus").write_bytes(content)
        only_documented_errors(read)

    Path("corpus").write_bytes(valid)
    assert only_documented_errors(read)
    check()


CONFIG = b"""\
# A comment.
data: &data
  src_lang: en
  tgt_lang: "de"
  train: [{src: a, tgt: b, weight: 2.0}, {jsonl: c}]
  valid: {demo: valid}
model: {d_model: 32, num_heads: 2, positions: {kind: learned, max_length: 300}}
train:
  betas: [0.9, 0.98]
  max_steps: 1_000
  clip_norm: 1.5e+1
"""


def test_any_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"

    @fuzz(max_examples=300)
    @given(contents(CONFIG))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        only_documented_errors(lambda: load_config(path))

    path.write_bytes(CONFIG)
    assert only_documented_errors(lambda: load_config(path))
    check()


@fuzz(max_examples=300)
@given(st.text(max_size=40), st.sampled_from(["", "data.train.0.", "train.max_steps", "model="]))
def test_any_override(text: str, start: str) -> None:
    only_documented_errors(lambda: load_config(DEMO, [start + text]))


def test_an_override_that_is_valid_is_accepted() -> None:
    """Without this, `test_any_override` would also pass if every override were refused."""
    assert only_documented_errors(lambda: load_config(DEMO, ["train.max_steps=3"]))


DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"


# ---------------------------------------------------------------- models


@pytest.fixture(scope="module")
def model(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a copy of the shared model, with one thread, which is enough for its size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("fuzz") / "model"))
    torch.set_num_threads(threads)


def put(path: Path, content: bytes) -> None:
    """Write a file of a model, and update its entry in the manifest."""
    path.write_bytes(content)
    manifest = path.with_name("manifest.json")
    if path != manifest and manifest.is_file():
        values = json.loads(manifest.read_bytes())
        digest = hashlib.sha256(content).hexdigest()
        values["files"][path.name] = {"size": len(content), "sha256": digest}
        manifest.write_text(json.dumps(values), "utf-8")


@pytest.mark.parametrize(
    ("name", "examples"),
    [
        ("config.yaml", 100),
        ("data.json", 100),
        ("tokenizer/manifest.json", 50),
        ("checkpoints/step-00000060/manifest.json", 50),
        ("checkpoints/step-00000060/state.json", 150),
        ("checkpoints/step-00000060/weights.safetensors", 100),
    ],
)
def test_any_file_of_a_model(model: Path, name: str, examples: int) -> None:
    path = model / name
    valid, manifest = path.read_bytes(), path.with_name("manifest.json")
    valid_manifest = manifest.read_bytes() if manifest.is_file() else b""

    def use() -> None:
        info = inspect(model)
        json.loads(info.to_json(), parse_constant=pytest.fail)
        assert all(line.isprintable() for line in render(info))
        only_documented_errors(lambda: average_checkpoints(model, "best", 1, Console(quiet=True)))
        load_model(model)

    @fuzz(max_examples=examples)
    @given(contents(valid))
    def check(content: bytes) -> None:
        put(path, content)
        only_documented_errors(use)

    try:
        check()
    finally:
        path.write_bytes(valid)
        if valid_manifest:
            manifest.write_bytes(valid_manifest)
        shutil.rmtree(model / "averaged", ignore_errors=True)
    assert only_documented_errors(use)
    shutil.rmtree(model / "averaged", ignore_errors=True)


def test_any_tokenizer(model: Path) -> None:
    """SentencePiece is C++ code; bad input must not crash the process."""
    valid = (model / "tokenizer" / "spm.model").read_bytes()
    text = ["the cat sat on a mat.", "", "日本", "über " * 20]

    def use(content: bytes) -> None:
        tokenizer = Tokenizer(content)
        ids = tokenizer.encode(text, 1)
        assert all(0 <= token < tokenizer.vocab_size for row in ids for token in row)
        tokenizer.decode([*ids, range(tokenizer.vocab_size)])
        tokenizer.pieces(range(tokenizer.vocab_size))
        tokenizer.sample(text, 0.1, -1, 1)

    @fuzz(max_examples=300)
    @given(contents(valid))
    def check(content: bytes) -> None:
        only_documented_errors(lambda: use(content))

    assert only_documented_errors(lambda: use(valid))
    check()


METRICS = b'{"kind": "train", "step": 1, "loss": 3.0}\n{"kind": "train", "step": 2}\n'


def test_any_metrics(tmp_path: Path) -> None:
    """On resuming, complete records of earlier steps are kept, and all others removed."""
    path = tmp_path / "metrics.jsonl"

    @fuzz(max_examples=200)
    @given(contents(METRICS))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        assert only_documented_errors(
            lambda: Monitor(tmp_path, Console(file=io.StringIO()), 1, 10).log("train", 2, {})
        )
        *kept, last, end = path.read_bytes().split(b"\n")
        assert end == b""
        assert json.loads(last)["step"] == 2
        assert all(int(json.loads(line)["step"]) <= 1 for line in kept)

    check()
