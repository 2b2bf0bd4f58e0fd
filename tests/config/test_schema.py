"""Valid and invalid configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nmt.config.load import dump_config, load_config
from nmt.config.schema import Config
from nmt.config.section import Section
from nmt.errors import ConfigError, FileError

DATA = "data: {src_lang: en, tgt_lang: de, train: {demo: train}}\n"
DENOISE = ["train.objective=denoise", "data.train={text: a, lang: en}"]
CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Config]:
    """(text, *overrides): load_config on a file `c.yaml` with this text."""

    def from_text(text: str, *overrides: str) -> Config:
        (tmp_path / "c.yaml").write_text(text, "utf-8")
        return load_config(tmp_path / "c.yaml", list(overrides))

    return from_text


@pytest.fixture
def error_of(load: Callable[..., Config]) -> Callable[..., str]:
    """The same for invalid configurations: the message of the error."""

    def message(text: str, *overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides)
        assert caught.value.exit_code == 2
        return str(caught.value)

    return message


def sections(kind: type[Section] = Section) -> Iterator[type[Section]]:
    for child in kind.__subclasses__():
        yield child
        yield from sections(child)


# ---------------------------------------------------------------- the schema


@pytest.mark.parametrize("section", list(sections()), ids=lambda section: section.__name__)
def test_every_section_and_field_is_documented(section: type[Section]) -> None:
    assert section.__doc__
    documented = section.documentation()
    undocumented = [name for name in section.model_fields if not documented.get(name)]
    # Top-level fields are sections, which have their own docstrings.
    assert undocumented == ([*Config.model_fields] if section is Config else [])


def test_sections_cannot_be_changed(load: Callable[..., Config]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(DATA).train.max_steps = 3


def test_each_kind_of_model_has_its_own_keys() -> None:
    schema = Config.model_json_schema()
    members = [ref["$ref"].rpartition("/")[2] for ref in schema["properties"]["model"]["oneOf"]]
    keys = {
        schema["$defs"][name]["properties"]["kind"]["const"]: schema["$defs"][name]["properties"]
        for name in members
    }
    assert list(keys) == ["transformer", "rnn", "conv"]
    assert "num_heads" in keys["transformer"]
    assert "num_heads" not in {**keys["rnn"], **keys["conv"]}
    assert all(key["description"] for keys in keys.values() for key in keys.values())


@pytest.mark.parametrize("kind", ["transformer", "rnn", "conv"])
def test_a_kind_of_model_is_read_back(load: Callable[..., Config], kind: str) -> None:
    config = load(DATA, f"model.kind={kind}")
    assert config.model.kind == kind
    assert f"  kind: {kind}\n" in dump_config(config)
    assert load(dump_config(config)) == config


def test_defaults_are_the_base_model_of_the_paper(load: Callable[..., Config]) -> None:
    config = load(DATA)
    model, train = config.model, config.train
    assert (model.d_model, model.num_heads, model.d_ff, model.dropout) == (512, 8, 2048, 0.1)
    assert (model.encoder_layers, model.decoder_layers, model.norm) == (6, 6, "post")
    assert (train.betas, train.eps, train.warmup_steps) == ((0.9, 0.98), 1e-9, 4000)
    assert (train.label_smoothing, config.decode.beam_size) == (0.1, 4)
    assert (config.decode.length_penalty, config.decode.max_extra_len) == (0.6, 50)


# ---------------------------------------------------------------- kinds of corpora

CORPORA = {
    "files": "src: a, tgt: b",
    "tsv": "tsv: a",
    "jsonl": "jsonl: a",
    "parquet": "parquet: a",
    "dataset": "dataset: a",
    "demo": "demo: test",
}


@pytest.mark.parametrize("kind", CORPORA)
def test_the_kind_of_a_corpus_is_explicit_or_implied(
    load: Callable[..., Config], kind: str
) -> None:
    text = "data: {{src_lang: en, tgt_lang: de, train: {{{}}}}}"
    config = load(text.format(CORPORA[kind]))
    assert config.data.train[0].kind == kind
    assert load(text.format(f"kind: {kind}, {CORPORA[kind]}")) == config
    assert dump_config(config).count(f"  - kind: {kind}\n") == 1


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (
            "{kind: cvs, tsv: f}",
            ".kind: must be one of files, tsv, jsonl, parquet, dataset, demo, text, not 'cvs'",
        ),
        ("{kind: [tsv], tsv: f}", ".kind: must be one of files, tsv"),
        ("{kind: tsv}", ".tsv: required, but missing"),
        ("{kind: tsv, jsonl: f}", ".tsv: required, but missing"),
        ("{kind: tsv, jsonl: f}", ".jsonl: unknown key: it belongs to a corpus of kind jsonl"),
    ],
)
def test_an_explicit_kind_decides(error_of: Callable[..., str], corpus: str, expected: str) -> None:
    message = error_of(f"data: {{src_lang: en, tgt_lang: de, train: [{corpus}]}}")
    assert f"data.train.0{expected}" in message


# ---------------------------------------------------------------- unknown keys


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "train: {lerning_rate: 1}",
            "train.lerning_rate: unknown key: did you mean learning_rate?",
        ),
        ("model: {d_modl: 8}", "model.d_modl: unknown key: did you mean d_model?"),
        ("train: {dropout: 0.1}", "train.dropout: unknown key: did you mean model.dropout?"),
        ("d_model: 8", "d_model: unknown key: did you mean model.d_model?"),
        ("kind: rnn", "kind: unknown key: did you mean model.kind?"),
        ("src_key: x", "src_key: unknown key: did you mean data.train.src_key?"),
        ("trian: {}", "trian: unknown key: did you mean train?"),
        (
            "model: {d_hidden: 8}",
            "model.d_hidden: unknown key: it belongs to model.kind rnn and conv",
        ),
        (
            "model: {kind: rnn, num_heads: 8}",
            "model.num_heads: unknown key: it belongs to model.kind transformer",
        ),
        (
            "model: {kind: conv, kernel: 3}",
            "model.kernel: unknown key: did you mean kernel_size?",
        ),
        (
            "model: {kind: conv, positions: {kind: learned}}",
            "model.positions.kind: unknown key: it belongs to model.kind transformer",
        ),
        ("model: {kind: rnn, xyzzy: 1}", "known keys are cell, d_hidden, d_model, dropout"),
        (
            "decode: {xyzzy: 1}",
            "decode.xyzzy: unknown key; known keys are banned, batch_tokens, beam_groups",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(
    error_of: Callable[..., str], text: str, expected: str
) -> None:
    assert expected in error_of(DATA + text)


def test_a_key_of_another_kind_of_corpus_suggests_replacing_the_corpus(
    error_of: Callable[..., str],
) -> None:
    message = error_of(
        "data: {src_lang: en, tgt_lang: de, train: [{dataset: a/b}]}", "data.train.0.src=x.en"
    )
    assert "data.train.0='{src: FILE, tgt: FILE}'" in message
    text = "data: {src_lang: en, tgt_lang: de, train: {tsv: f, split: train}}"
    expected = "data.train.0.split: unknown key: it belongs to a corpus of kind dataset; replace"
    assert expected in error_of(text)


@pytest.mark.parametrize("corpus", ["{foo: 1}", "{weight: 2}", "{}", "x.en"])
def test_a_corpus_without_a_kind_is_refused(error_of: Callable[..., str], corpus: str) -> None:
    message = error_of(f"data: {{src_lang: en, tgt_lang: de, train: [{corpus}]}}")
    assert "data.train.0: must be a corpus: {src, tgt}" in message


def test_all_errors_are_reported_at_once(error_of: Callable[..., str]) -> None:
    message = error_of(
        "data: {tgt_lang: de, train: {src: a}}\nmodel: {d_modl: 8, dropout: 1.5}\n"
        "train: {max_steps: 0, betas: [0.9, 1.0]}",
        "nonsense",
        "train.sede=3",
        "data.train.7.src=x",
    )
    expected = [
        "'nonsense': an override has the form key.subkey=value",
        "data.train.7.src: '7' is not an index of a list of 1",
        "data.src_lang: required, but missing",
        "data.train.0.tgt: required, but missing",
        "model.d_modl: unknown key",
        "model.dropout: must be less than 1, not 1.5",
        "train.max_steps: must be greater than 0, not 0",
        "train.betas.1: must be less than 1, not 1.0",
        "train.sede: unknown key: did you mean seed?",
    ]
    assert f"c.yaml: {len(expected)} errors" in message
    for error in expected:
        assert f"\n  {error}" in message


def test_an_invalid_column_is_one_error(error_of: Callable[..., str]) -> None:
    text = "data: {src_lang: en, tgt_lang: de, train: {tsv: f, src_column: -1}}"
    expected = (
        "c.yaml: data.train.0.src_column: must be a column number from 0 to 1000000, or a name"
    )
    assert expected in error_of(text)


# ---------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.max_steps=200", "train.max_steps", 200),
        ("train.learning_rate=1e-3", "train.learning_rate", 0.001),
        ("train.betas=[0.8, 0.9]", "train.betas", (0.8, 0.9)),
        ("train.patience=", "train.patience", None),
        ("model.positions.kind=learned", "model.positions.kind", "learned"),
        ("data.src_lang=a=b", "data.src_lang", "a=b"),
        ("data.train={src: a, tgt: b}", "data.train.0.src", "a"),
        ("data.train.0={src: a, tgt: b}", "data.train.0.src", "a"),
        ("data.train.1={src: a, tgt: b}", "data.train.1.tgt", "b"),
        ("data.train.0.demo=valid", "data.train.0.demo", "valid"),
        ("data.valid.0.demo=valid", "data.valid.0.demo", "valid"),
        ("tokenizer.user_defined_symbols.0=<x>", "tokenizer.user_defined_symbols.0", "<x>"),
    ],
)
@pytest.mark.parametrize("corpora", ["{demo: train}", "[{demo: train}]"])
def test_overrides(
    load: Callable[..., Config], override: str, path: str, value: object, corpora: str
) -> None:
    text = f"data: {{src_lang: en, tgt_lang: de, train: {corpora}}}"
    node: Any = load(text, override)
    for part in path.split("."):
        node = node[int(part)] if part.isdecimal() else getattr(node, part)
    assert node == value


def test_overrides_apply_in_order(load: Callable[..., Config]) -> None:
    config = load(DATA, "data.train.1.src=a", "data.train.1.tgt=b", "train.seed=2", "train.seed=3")
    dumped = [corpus.model_dump(exclude_none=True) for corpus in config.data.train]
    assert dumped == [
        {"kind": "demo", "weight": 1.0, "reversed": False, "demo": "train"},
        {"kind": "files", "weight": 1.0, "reversed": False, "src": "a", "tgt": "b"},
    ]
    assert config.train.seed == 3


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.max_steps", "'train.max_steps': an override has the form"),
        ("=3", "'=3': an override has the form"),
        ("train.seed.x=3", "train.seed.x: "),
        ("data.train.x=3", "data.train.x: 'x' is not an index of a list of 1"),
        ("data.train.-1=3", "data.train.-1: '-1' is not an index of a list of 1"),
        ("train.betas=[1", "train.betas:1:3: not valid YAML"),
        ("train.seed=!!python/name:os.system", "train.seed:1:1: not valid YAML"),
    ],
)
def test_bad_overrides_are_refused(
    error_of: Callable[..., str], override: str, expected: str
) -> None:
    text = "data: {src_lang: en, tgt_lang: de, train: [{demo: train}]}\ntrain: {seed: 1}"
    assert expected in error_of(text, override)


# ---------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            DATA + "train: {seed: 1}\ntrain: {seed: 2}",
            "c.yaml:3:1: not valid YAML: duplicate key 'train'",
        ),
        (DATA + "train: {seed: 1, seed: 2}", "c.yaml:2:18: not valid YAML: duplicate key 'seed'"),
        (DATA + "train: [1\nmodel: {}", "c.yaml:3:6: not valid YAML"),
        (DATA + "train:\n\tseed: 1", "c.yaml:3:1: not valid YAML"),
        ("- a", "c.yaml: the configuration must be a mapping"),
        ("", "c.yaml: the configuration must be a mapping"),
        (DATA + "? [a]\n: 1", "c.yaml:2:3: not valid YAML"),
        ("[" * 5000, "c.yaml: not valid YAML"),
    ],
)
def test_invalid_yaml_is_located(error_of: Callable[..., str], text: str, expected: str) -> None:
    assert expected in error_of(text)


def test_yaml_runs_no_code(error_of: Callable[..., str], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    message = error_of(f"data: !!python/object/apply:os.mkdir ['{marker}']")
    assert "c.yaml:1:7: not valid YAML" in message
    assert not marker.exists()


def test_variables_are_not_expanded(load: Callable[..., Config]) -> None:
    text = "data: {src_lang: en, tgt_lang: de, train: {src: '${HOME}/a', tgt: ~/b.gz}}"
    [corpus] = load(text).data.train
    assert corpus.model_dump()["src"] == "${HOME}/a"
    assert corpus.model_dump()["tgt"] == "~/b.gz"


def test_anchors_and_merged_keys_work(load: Callable[..., Config]) -> None:
    text = (
        "data:\n  src_lang: en\n  tgt_lang: de\n  train:\n"
        "  - &a {src: x, tgt: y}\n  - {<<: *a, weight: 2}\n"
    )
    assert [corpus.weight for corpus in load(text).data.train] == [1.0, 2.0]


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"data: \xe9\n")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(FileError, match="cannot be read") as caught:
            load_config(path)
        assert str(path) in str(caught.value)
        assert caught.value.exit_code == 4


def test_a_dumped_configuration_loads_unchanged(load: Callable[..., Config]) -> None:
    text = (
        "data:\n  src_lang: en\n  tgt_lang: 'no'\n  max_length_ratio: 2.5\n"
        "  train: [{src: ä.en, tgt: b, weight: 0.5}, {tsv: c, src_column: id, tgt_column: 3},\n"
        "    {jsonl: d, src_key: t.en, tgt_key: t.de}, {parquet: e}, {dataset: f, name: de-en},\n"
        "    {demo: train}]\n  valid: {demo: valid}\n"
        "tokenizer: {joint: false, user_defined_symbols: ['<a>', ': ', '1']}\n"
        "model: {tie_embeddings: decoder, d_k: 7, d_v: 9, num_heads: 3}\n"
        "train: {learning_rate: 1e-3, eps: 1.0e-09, betas: [0.1, 0.2], patience: 3}"
    )
    config = load(text)
    assert load(dump_config(config)) == config
    assert "ä.en" in dump_config(config)


def test_a_dumped_configuration_is_safe_to_print(load: Callable[..., Config]) -> None:
    config = load(r'data: {src_lang: en, tgt_lang: de, train: {src: "a\u202e\x9b", tgt: b}}')
    assert all(line.isprintable() for line in dump_config(config).split("\n"))
    assert load(dump_config(config)) == config


# ---------------------------------------------------------------- combinations of values


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.d_model=100"], "model: d_model 100 is not a multiple of num_heads 8"),
        (["model.d_model=99", "model.num_heads=9"], "model: d_model 99 is odd"),
        (["tokenizer.joint=false"], "model.tie_embeddings: all needs tokenizer.joint: true"),
        (["train.keep_last=3"], "train: averaging the last 5 checkpoints needs keep_last >= 5"),
        (
            ["train.average=best", "train.keep_best=2", "data.valid.0.demo=valid"],
            "train: averaging the best 5 checkpoints needs keep_best >= 5",
        ),
        (["train.average=best", "train.keep_best=5"], "train.average: best needs data.valid"),
        (["train.patience=3"], "train.patience needs data.valid"),
        (
            ["train.metric=bleu", "train.valid_beam_size=0"],
            "train: metric bleu needs valid_beam_size >= 1",
        ),
        (
            ["model.positions={kind: learned, max_length: 100}"],
            "model.positions.max_length 100 is less than data.max_length 256",
        ),
        (
            ["model.positions={kind: none, combine: concat}", "model.tie_embeddings=none"],
            "model.positions: kind none has nothing to concatenate",
        ),
        (["model.positions.width=8"], "model.positions: width needs combine: concat"),
        (
            ["model.positions={combine: concat, width: 7}", "model.tie_embeddings=none"],
            "model: positions.width 7 is odd: sinusoidal positions need it even",
        ),
        (
            ["model.positions={combine: concat, width: 512}", "model.tie_embeddings=none"],
            "model: positions.width 512 must be between 0 and d_model 512",
        ),
        (
            ["model.positions.combine=concat"],
            "model: tie_embeddings: all makes an embedding the output projection",
        ),
        (
            ["model.positions.combine=concat", "model.tie_embeddings=decoder"],
            "model: tie_embeddings: decoder makes an embedding the output projection",
        ),
        (
            ["model={kind: conv}", "data.max_length=600"],
            "model.positions.max_length 512 is less than data.max_length 600",
        ),
        (
            ["model={kind: rnn, tie_embeddings: all}", "tokenizer.joint=false"],
            "model.tie_embeddings: all needs tokenizer.joint: true",
        ),
        (
            ["model={kind: rnn}", "decode.coverage_penalty=0.2"],
            "decode.coverage_penalty needs model.kind: transformer, not rnn",
        ),
        (["decode.beam_groups=3"], "`beam_groups` 3 does not divide `beam_size` 4"),
        (["decode.trees=true"], "decode.trees needs labelled brackets among tokenizer.user"),
        (["model.kind=lstm"], "model.kind: must be one of transformer, rnn, conv"),
        (["model.kind=[a]"], "model.kind: must be one of transformer, rnn, conv"),
        (["model=7"], "model: must be a section, with keys such as kind, d_model"),
        (["model.kind=rnn", "model.dropout=2"], "model.dropout: must be less than 1"),
        (["tokenizer.src_model=a"], "tokenizer: src_model and tgt_model are only valid together"),
        (
            ["tokenizer.src_model=a", "tokenizer.tgt_model=b"],
            "tokenizer: src_model and tgt_model need joint: false",
        ),
        (["tokenizer.model=a", "tokenizer.joint=false"], "tokenizer: model is for both sides"),
        (
            ["tokenizer.type=char", "tokenizer.sampling_alpha=0.1"],
            "tokenizer: sampling_alpha needs type bpe or unigram",
        ),
        (["train={r_drop: {}, sim_cut: {}}"], "train: r_drop and sim_cut both compute each batch"),
        (
            ["train.r_drop={}", "model={kind: rnn}"],
            "train.r_drop compares predictions with different dropout, but the model has none",
        ),
        (
            ["train.r_drop={}", "model={dropout: 0, layer_dropout: 0.1}"],
            "train.r_drop compares predictions with different dropout, but the model has none",
        ),
        (["train.r_drop.alpha=0"], "train.r_drop.alpha: must be greater than 0"),
        (["train.word_dropout={}"], "train.word_dropout: changes no tokens: set src, tgt or both"),
        (["train={ema: 0.9, shard: true}"], "train: ema cannot be combined with shard"),
        (
            ["train={ema: 0.9, init_from: a, lora: {}}"],
            "train: ema cannot be combined with lora",
        ),
        (
            ["model.layer_dropout=0.1", "train.shard=true"],
            "model.layer_dropout cannot be combined with train.shard",
        ),
        (
            ["model.layer_dropout=0.1", "train.guided_alignment={}"],
            "model.layer_dropout cannot be combined with train.guided_alignment",
        ),
        (["data.train={text: a, lang: en}"], "data.train has text without translations"),
        (["data.test={text: a, lang: en}"], "data.test has text without translations"),
        (["data.train={text: a}"], "data.train.0.lang: required"),
        (
            ["data.train={text: a, lang: en, reversed: true}"],
            "data.train.0: src_lang, tgt_lang, reversed and alignments are for pairs",
        ),
        (
            ["train.objective=denoise"],
            "data.train has pairs in en-de, but train.objective: denoise",
        ),
        ([*DENOISE, "data.valid={demo: valid}"], "data.valid has pairs in en-de"),
        ([*DENOISE, "train.metric=bleu"], "train.metric bleu: train.objective: denoise can only"),
        ([*DENOISE, "train.tune_decode={}"], "train.tune_decode is for translation"),
        ([*DENOISE, "data.terms={}"], "data.terms is for translation"),
        ([*DENOISE, "data.augment.upper=0.1"], "data.augment is for translation"),
        (["data.augment={}"], "data.augment: set at least one probability, as in {upper: 0.05"),
        (["data.augment.upper=1.1"], "data.augment.upper: must be"),
        (["data.augment.uper=0.1"], "data.augment.uper: unknown key"),
        (
            ["data.augment={upper: 0.5, lower: 0.6}"],
            "data.augment: upper, title and lower exclude each other",
        ),
        (
            ["data.augment.concatenate=0.1", "train.guided_alignment={}"],
            "data.augment.concatenate cannot be combined with train.guided_alignment",
        ),
        (
            ["data.augment.typos=0.1", "data.placeholders=[urls]"],
            "data.augment cannot be combined with data.placeholders",
        ),
        ([*DENOISE, "train.guided_alignment={}"], "train.guided_alignment is for translation"),
        (
            [*DENOISE, "tokenizer.joint=false", "model.tie_embeddings=none"],
            "train.objective: denoise needs tokenizer.joint: true",
        ),
        (
            [*DENOISE, "tokenizer.user_defined_symbols=['<mask>']"],
            "train.objective: denoise adds <mask>: remove it",
        ),
        ([*DENOISE, "train.denoise.rate=1"], "train.denoise.rate: must be less than 1"),
        ([*DENOISE, "data.tags=both", "data.train.0.lang=mask"], "cannot name the language 'mask'"),
        (["data.train=[]"], "data.train: "),
        (["data.max_length_ratio=1"], "data.max_length_ratio: "),
    ],
)
def test_conflicts_are_refused(
    error_of: Callable[..., str], overrides: list[str], expected: str
) -> None:
    assert expected in error_of(DATA, *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.d_model=100", "model.d_k=10", "model.d_v=12"],
        ["model.d_model=99", "model.num_heads=9", "model.positions.kind=learned"],
        ["model.positions.kind=none"],
        ["model.positions.combine=concat", "model.tie_embeddings=none"],
        ["model.positions={kind: learned, combine: concat, width: 7}", "model.tie_embeddings=none"],
        ["tokenizer.joint=false", "model.tie_embeddings=decoder"],
        ["tokenizer.joint=false", "model.kind=rnn"],
        ["data.max_length=600", "model.kind=rnn"],
        ["data.max_length=600", "model={kind: conv, positions: {max_length: 600}}"],
        ["train.keep_last=1", "train.average=none"],
        ["train.keep_last=1", "train.average_count=1"],
        ["train.average=best", "train.keep_best=5", "data.valid.0.demo=valid"],
        ["train.patience=3", "data.valid={demo: valid}"],
        ["train.valid_beam_size=0"],
        ["train.r_drop={}", "train.ema=0.999", "model.layer_dropout=0.1"],
        ["train.r_drop={}", "model={dropout: 0, activation_dropout: 0.1}"],
        ["train.sim_cut={}", "model={kind: rnn}", "train.word_replacement.src=0.1"],
        [*DENOISE, "train.r_drop={}", "train.word_dropout.src=0.1", "data.tags=target"],
        [*DENOISE, "data.train={jsonl: a, src_key: a, tgt_key: a, src_lang: en, tgt_lang: en}"],
    ],
)
def test_valid_combinations_are_accepted_and_survive_being_written(
    load: Callable[..., Config], overrides: list[str]
) -> None:
    config = load(DATA, *overrides)
    assert config != load(DATA)
    assert load(dump_config(config)) == config


# ---------------------------------------------------------------- the recipes


def test_every_recipe_loads() -> None:
    recipes = sorted(CONFIGS.glob("**/*.yaml"))
    assert recipes
    for recipe in recipes:
        assert load_config(recipe).data.train, recipe


# ---------------------------------------------------------------- named sets of data.valid

SETS = "{general: {demo: valid}, domain: [{demo: test}, {tsv: f}]}"


def test_named_sets_are_kept_apart_and_survive_a_dump(load: Callable[..., Config]) -> None:
    config = load(DATA, f"data.valid={SETS}", "train.metric=domain/bleu")
    kinds = {name: [one.kind for one in each] for name, each in config.data.valid_sets.items()}
    assert kinds == {"general": ["demo"], "domain": ["demo", "tsv"]}
    assert [one.kind for one in config.data.valid_corpora] == ["demo", "demo", "tsv"]
    assert load(dump_config(config)) == config
    assert Config.model_validate(config.model_dump()) == config
    assert list(load(DATA, "data.valid={demo: valid}").data.valid_sets) == [""]
    assert not load(DATA).data.valid_sets


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data.valid={'a b': {demo: valid}}"], "data.valid: 'a b' cannot be the name of a set"),
        (["data.valid={a/b: {demo: valid}}"], "'a/b' cannot be the name of a set"),
        (["data.valid={2014: {demo: valid}}"], "2014 cannot be the name of a set"),
        (["data.valid={a: {demo: x}}"], "data.valid.a.0.demo: must be"),
        (["data.valid={a: [{demo: valid}, {src: x}]}"], "data.valid.a.1.tgt: required"),
        (["data.valid={a: {demo: valid, srx: 2}}"], "data.valid.a.0.srx: unknown key"),
        (["data.valid={a: {demo: valid}, b: x}"], "data.valid.b: must be a corpus"),
        (["data.valid={a: []}"], "data.valid.a: value should have at least 1 item"),
        (
            ["train.metric=a/bleu"],
            "data.valid has no set a; name its sets, as in {a: {src: FILE, …}}",
        ),
        (["data.valid={b: {demo: valid}}", "train.metric=a/bleu"], "has no set a; it has b"),
        (["train.metric=ppl"], "must be loss, bleu or chrf, or one of them on a set"),
        (["train.metric=a b/bleu"], "must be loss, bleu or chrf, or one of them on a set"),
    ],
)
def test_sets_and_metrics_that_cannot_be(
    error_of: Callable[..., str], overrides: list[str], expected: str
) -> None:
    assert expected in error_of(DATA, *overrides)


def test_an_error_in_a_set_names_the_file_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {valid: {a: {demo: x}}}", "utf-8")
    (tmp_path / "c.yaml").write_text(f"extends: base.yaml\n{DATA}", "utf-8")
    with pytest.raises(ConfigError, match=r"data\.valid\.a\.0\.demo: .*\(in .*base\.yaml\)"):
        load_config(tmp_path / "c.yaml")
