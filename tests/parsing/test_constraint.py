"""Constrained hypotheses are trees over the words of the source, whatever the model predicts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
import torch
from torch import Tensor

from nmt.config.decode import DecodeConfig
from nmt.config.search import SearchOptions, search_options
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError
from nmt.model.build import make_network
from nmt.parsing.constraint import TreeConstraint, TreeGrammar
from nmt.parsing.trees import parse_linearised
from nmt.runs.model import TrainedModel, load_model
from nmt.search.beam import beam_search
from nmt.search.constraints import ConstrainedStepper
from nmt.search.hypothesis import Hypothesis
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator

SENTENCES = ["the cat sat", "on a ( mat ) .", "dogs", "the dogs sat on the cat :("]


@pytest.fixture(scope="module")
def brackets() -> Tokenizer:
    """Return a tokenizer with the words above and brackets with the labels S and NP."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, "-LRB- -RRB-"] * 10),
        model_writer=model,
        model_type="bpe",
        vocab_size=50,
        hard_vocab_limit=False,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        user_defined_symbols=["▁(S", "▁)S", "▁(NP", "▁)NP", "▁(X"],
        minloglevel=2,
    )
    return Tokenizer(model.getvalue())


class RandomStepper:
    """Random probabilities that depend on the sentence and all tokens so far."""

    def __init__(self, names: list[str], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.prefixes_BW: list[list[tuple[str | int, ...]]] = [[(name,)] for name in names]

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        self.prefixes_BW = [
            [(*prefix, token) for prefix, token in zip(*row, strict=True)]
            for row in zip(self.prefixes_BW, tokens_BW.tolist(), strict=True)
        ]
        for row in self.prefixes_BW:
            seeds = [sum(ord(c) for c in str(prefix)) for prefix in row]
            draws = [torch.Generator().manual_seed(seed) for seed in seeds]
            logits = torch.stack([torch.randn(self.vocab_size, generator=g) for g in draws])
            yield (3 * logits).log_softmax(-1)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        self.prefixes_BW = [
            [self.prefixes_BW[sentence][beam] for beam in beams]
            for sentence, beams in zip(sentences_N.tolist(), beams_NW.tolist(), strict=True)
        ]


def parse(tokenizer: Tokenizer, sentences: list[str], beam_size: int) -> list[list[Hypothesis]]:
    random = RandomStepper(sentences, tokenizer.vocab_size)
    return beam_search(
        ConstrainedStepper(random, [TreeConstraint(TreeGrammar(tokenizer), sentences)]),
        [200] * len(sentences),
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        beam_size=beam_size,
        length_penalty=0.0,
    )


@pytest.mark.parametrize("beam_size", [1, 4])
def test_every_hypothesis_is_a_tree_over_the_words(brackets: Tokenizer, beam_size: int) -> None:
    results = parse(brackets, SENTENCES, beam_size)
    for sentence, hypotheses in zip(SENTENCES, results, strict=True):
        assert len(hypotheses) == beam_size
        for text in brackets.decode([hypothesis.ids for hypothesis in hypotheses]):
            tree, is_sound = parse_linearised(text)
            assert is_sound
            assert (tree.spans[0].start, tree.spans[0].end) == (0, len(tree.leaves))
            assert {span.label for span in tree.spans} <= {"S", "NP"}  # nothing closes an X
            words = " ".join(leaf.tag for leaf in tree.leaves)
            assert words == sentence.replace("(", "-LRB-").replace(")", "-RRB-")


def test_a_batch_gives_the_same_as_its_sentences_alone(brackets: Tokenizer) -> None:
    alone = [parse(brackets, [sentence], 4)[0] for sentence in SENTENCES]
    assert parse(brackets, SENTENCES, 4) == alone


def test_allowed_tokens_keep_their_probabilities(brackets: Tokenizer) -> None:
    constraint = TreeConstraint(TreeGrammar(brackets), ["dogs"])
    stepper = ConstrainedStepper(RandomStepper(["dogs"], brackets.vocab_size), [constraint])
    [plain_RV] = RandomStepper(["dogs"], brackets.vocab_size).step(torch.tensor([[2]]))
    [constrained_RV] = stepper.step(torch.tensor([[2]]))
    # Only opening brackets may come before the first word.
    opening = [
        brackets.pieces([i])[0] for i in constrained_RV[0].isfinite().nonzero()[:, 0].tolist()
    ]
    assert sorted(opening) == ["▁(NP", "▁(S"]
    assert torch.equal(
        constrained_RV[constrained_RV.isfinite()], plain_RV[constrained_RV.isfinite()]
    )


def test_at_most_six_brackets_open_before_a_word(brackets: Tokenizer) -> None:
    grammar = TreeGrammar(brackets)
    [opening, *_] = grammar.closing
    constraint = TreeConstraint(grammar, ["dogs"])
    stepper = ConstrainedStepper(RandomStepper(["dogs"], brackets.vocab_size), [constraint])
    list(stepper.step(torch.tensor([[brackets.bos_id]])))
    for _ in range(5):
        [next_RV] = stepper.step(torch.tensor([[opening]]))
        assert next_RV[0, opening].isfinite()
    [last_RV] = stepper.step(torch.tensor([[opening]]))
    assert last_RV[0].isfinite().nonzero().tolist() == [[grammar.words("dogs")[0]]]


def test_a_word_unknown_to_the_tokenizer(brackets: Tokenizer) -> None:
    # Ж is not a piece; the acute accent is normalised to a space and a combining accent.
    assert TreeGrammar(brackets).words("Ж ca\N{ACUTE ACCENT}t") == [brackets.unk_id] * 2
    [[best]] = parse(brackets, ["the Ж sat"], 1)
    tree, is_sound = parse_linearised(brackets.decode([best.ids])[0])
    assert is_sound
    assert [leaf.tag for leaf in tree.leaves] == ["the", "⁇", "sat"]


def test_an_untrained_model_writes_trees(brackets: Tokenizer, trained_run: Path) -> None:
    config = load_model(trained_run).config
    torch.manual_seed(3)
    tokenizers = Tokenizers(brackets, brackets)
    network = make_network(config.model, *tokenizers.sizes).eval()
    untrained = TrainedModel(config, tokenizers, network, Path("untrained"))
    options = search_options(DecodeConfig(trees=True, max_extra_len=90))
    lines = SENTENCES[:3]
    for line, parsed in zip(
        lines, Translator(Networks([untrained]), options).translate(lines), strict=True
    ):
        tree, is_sound = parse_linearised(parsed.text)
        assert is_sound
        assert len(tree.leaves) == len(line.split())


def test_a_model_without_brackets_is_refused(trained_run: Path) -> None:
    translator = Translator(Networks([load_model(trained_run)]), SearchOptions(trees=True))
    with pytest.raises(
        ConfigError, match=r"decode\.trees needs a model that has labelled brackets"
    ):
        list(translator.translate(["the cat"]))
