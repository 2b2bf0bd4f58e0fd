"""The model card: README.md of a repository, with the metadata that the Hub searches."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt.config.schema import Config
from nmt.errors import FileError
from nmt.files import MAX_JSON_BYTES, read_bounded
from nmt.runs.checkpoint import read_shapes, read_state

_NAMES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}


@dataclass(frozen=True)
class TestScores:
    """The scores on one test set.

    Attributes:
        test_set: its name.
        scores: name, points and signature of each score, as `nmt evaluate` prints them as JSON.
    """

    test_set: str
    scores: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> TestScores:
        """Read what `nmt evaluate` has printed as JSON; the test set is named after the file.

        Raises:
            FileError: if it is something else.
        """
        try:
            scores = json.loads(read_bounded(path, MAX_JSON_BYTES, plain=False))
            kept = [
                {
                    **{key: str(one[key]) for key in ("metric", "name", "signature")},
                    "score": float(one["score"]),
                }
                for one in scores
            ]
            if not kept or not isinstance(scores, list):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise FileError(
                f"{path}: not what `nmt evaluate` prints as JSON, which is a list of scores"
            ) from error
        return cls(path.stem, kept)


@dataclass(frozen=True)
class PushOptions:
    """How a model is published.

    Attributes:
        private: whether a new repository is private.
        revision: branch, which is created if it is missing; None for the main branch.
        transformers: add the MarianMT export, which `transformers` loads by the same name.
        license: identifier for the model card, such as `cc-by-4.0`.
        scores: scores on test sets for the model card.
    """

    private: bool = False
    revision: str | None = None
    transformers: bool = False
    license: str | None = None
    scores: list[TestScores] = field(default_factory=list)


def model_card(
    repository: str, config: Config, weights: Path, data: dict[str, Any], options: PushOptions
) -> str:
    """Return the text of the model card.

    Args:
        repository: `owner/name`.
        config: the configuration as it is uploaded.
        weights: the directory of the weights.
        data: the content of data.json as it is uploaded.
        options: license, test scores, and whether `transformers` can load the model.

    Raises:
        FileError: if the weights cannot be read.
    """
    scores = [*_validation(weights), *options.scores]
    lines = [
        f"---\n{_metadata(repository, config, scores, options)}\n---\n",
        f"# {repository.partition('/')[2]}\n",
        *_description(config, weights),
        *_usage(repository, options),
        *_training_data(data),
        *_evaluation(scores),
    ]
    return "\n".join(lines)


def _metadata(
    repository: str, config: Config, scores: list[TestScores], options: PushOptions
) -> str:
    """Return the metadata as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    codes = [code for pair in config.data.train_pairs for code in (pair.src, pair.tgt)]
    corpora = config.model_dump(mode="json")["data"]["train"]
    datasets = [one["dataset"] for one in corpora if "/" in one.get("dataset", "")]
    results = [
        EvalResult(
            task_type="translation",
            task_name="Translation",
            dataset_type=one.test_set,
            dataset_name=one.test_set,
            metric_type=score["metric"],
            metric_value=round(score["score"], 2),
            metric_name=score["name"],
            metric_args={"signature": score["signature"]},
        )
        for one in scores
        for score in one.scores
    ]
    data = ModelCardData(
        language=list(dict.fromkeys(codes)),
        license=options.license,
        library_name="nmt",
        pipeline_tag="translation",
        tags=["translation", *(["transformers", "marian"] if options.transformers else [])],
        datasets=list(dict.fromkeys(datasets)) or None,
        model_name=repository.partition("/")[2],
        eval_results=results or None,
    )
    return data.to_yaml()


def _description(config: Config, weights: Path) -> Iterator[str]:
    pairs = ", ".join(f"{pair.src} → {pair.tgt}" for pair in config.data.train_pairs)
    number = sum(math.prod(shape) for shape in read_shapes(weights, "weights").values())
    size = (weights / "weights.safetensors").stat().st_size / 1e6
    model = config.model
    decoder_layers = 1 if model.kind == "rnn" else model.decoder_layers
    yield (
        f"A translation model ({pairs}), trained with nmt: {model.kind}, "
        f"{model.encoder_layers} + {decoder_layers} layers, `d_model` {model.d_model}, "
        f"{number:,} parameters ({size:,.1f} MB).\n"
    )
    if origin := read_state(weights).get("imported"):
        yield f"It was imported from the {origin}.\n"


def _usage(repository: str, options: PushOptions) -> Iterator[str]:
    yield "## How to use it\n"
    yield f"With nmt:\n\n    nmt translate hf:{repository} FILE\n"
    yield f'or in Python: `nmt.load("hf:{repository}").translate(text)`.\n'
    if options.transformers:
        yield (
            "With transformers:\n\n"
            "    from transformers import MarianMTModel, MarianTokenizer\n\n"
            f'    tokenizer = MarianTokenizer.from_pretrained("{repository}")\n'
            f'    model = MarianMTModel.from_pretrained("{repository}")\n'
        )
    yield (
        "nmt runs it with CTranslate2 on a CPU if its architecture permits; "
        f"`nmt export hf:{repository}` writes it for other programs with CTranslate2.\n"
    )


def _training_data(data: dict[str, Any]) -> Iterator[str]:
    if not data.get("train"):
        return
    yield "## Data\n\n| part | corpus | pairs |\n|---|---|---|"
    for part in ("train", "valid"):
        for corpus in data.get(part, []):
            name = str(corpus["name"]).replace("|", r"\|").replace("`", "'")
            yield f"| {part} | `{name}` | {int(corpus['pairs_kept']):,} |"
    yield ""


def _validation(weights: Path) -> list[TestScores]:
    """Return the scores of these weights on the validation sets."""
    state = read_state(weights)
    signatures = state.get("signatures") or {}
    sets: dict[str, list[dict[str, Any]]] = {}
    for key, score in state["scores"].items():
        prefix, _, metric = key.rpartition("/")
        if metric in _NAMES and math.isfinite(score):
            signature = str(signatures.get(key, signatures.get(metric, "")))
            name = f"validation, {prefix}" if prefix else "validation"
            sets.setdefault(name, []).append(
                {"metric": metric, "name": _NAMES[metric], "score": score, "signature": signature}
            )
    if len(sets) > 1:  # of several sets, the first is there twice: also without its name
        sets.pop("validation", None)
    return [TestScores(name, scores) for name, scores in sets.items()]


def _evaluation(scores: list[TestScores]) -> Iterator[str]:
    yield "## Scores\n"
    if not scores:
        yield "None were measured.\n"
        return
    yield "| set | score | | signature |\n|---|---|---|---|"
    for one in scores:
        for score in one.scores:
            signature = score["signature"].replace("|", r"\|")
            yield f"| {one.test_set} | {score['name']} | {score['score']:.1f} | {signature} |"
    if any(one.test_set.startswith("validation") for one in scores):
        yield "\nThe validation data chose the weights; its scores are not those of a test.\n"
