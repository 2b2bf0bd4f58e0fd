"""Explain validation errors to the author of a configuration."""

from __future__ import annotations

import datetime
import difflib
import functools
import itertools
from collections.abc import Iterator
from typing import Any, get_args

from nmt.config.corpora import CORPORA, Corpus
from nmt.config.models import MODELS
from nmt.config.schema import Config
from nmt.config.section import Section

_TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "model": "a section",
}
"""The value that a key takes, by the first word of the type of a pydantic error."""

_IN_TOKENS = "It counts tokens, not sentences"
_IN_STEPS = "It counts steps: nmt check shows how many an epoch has"
_SYNONYM_LISTS = {
    "train.learning_rate": "lr max_lr peak_lr base_lr learn_rate initial_learning_rate",
    f"train.batch_tokens {_IN_TOKENS}": "batch_size bsz mini_batch minibatch batch max_sentences "
    "mini_batch_size per_device_train_batch_size",
    "train.batch_tokens": "max_tokens mini_batch_words batch_type",
    f"train.max_steps {_IN_STEPS}": "epochs max_epochs num_epochs max_epoch after_epochs "
    "num_train_epochs max_num_epochs",
    "train.max_steps": "steps train_steps num_steps max_update max_updates total_steps "
    "after_batches max_num_updates training_steps",
    "train.warmup_steps": "warmup warmup_updates lr_warmup learning_rate_warmup",
    "train.label_smoothing": "label_smoothing_eps label_smooth smoothing",
    "train.clip_norm": "clip grad_clip max_grad_norm clip_grad_norm gradient_clipping",
    "train.accumulate": "accum_count update_freq grad_accum accumulation optimizer_delay "
    "batch_multiplier gradient_accumulation_steps update_interval",
    "train.schedule": "lr_scheduler scheduler decay_method scheduling learning_rate_scheduler_type",
    "train.validate_every": "valid_freq validation_freq valid_steps eval_every eval_steps "
    "checkpoint_interval",
    "train.save_every": "save_freq save_interval save_checkpoint_steps save_steps",
    "train.log_every": "disp_freq log_interval report_every logging_freq logging_steps",
    "train.patience": "early_stopping early_stopping_patience max_num_checkpoint_not_improved",
    "train.betas": "adam_betas beta optimizer_params",
    "train.eps": "adam_eps epsilon",
    "train.metric": "early_stopping_metric valid_metrics best_checkpoint_metric optimized_metric",
    "train.keep_last": "keep_checkpoint keep_checkpoints keep_last_epochs keep_best_ckpts",
    "train.precision": "fp16 bf16 amp mixed_precision dtype",
    "train.device": "gpu gpus gpu_ranks use_cuda cuda device_ids devices",
    "train.seed": "random_seed",
    "train.optimizer": "optim optimizer_type",
    "train.r_drop": "rdrop rdrop_alpha reg_alpha",
    "train.sim_cut": "simcut simcut_p",
    "train.token_cutoff": "cutoff cut_off augmentation_masking_probability regularization_weight",
    "train.word_dropout": "token_dropout src_word_dropout dropout_src dropout_trg",
    "train.word_replacement": "switchout switch_out",
    "train.ema": "ema_decay exponential_smoothing moving_average_decay",
    "model.encoder_layers": "layers num_layers n_layers enc_layers enc_depth num_encoder_layers",
    "model.decoder_layers": "dec_layers dec_depth num_decoder_layers",
    "model.num_heads": "heads n_heads nhead attention_heads transformer_heads num_attention_heads "
    "encoder_attention_heads transformer_attention_heads",
    "model.d_model": "emb_dim dim_emb embedding_dim hidden_size hidden_dim word_vec_size "
    "transformer_model_size embed_dim encoder_embed_dim model_size",
    "model.d_ff": "ffn ffn_dim ff_size ff_dim dim_feedforward transformer_ff transformer_dim_ffn "
    "encoder_ffn_embed_dim feed_forward_size transformer_feed_forward_num_hidden",
    "model.norm": "layer_norm prenorm normalize_before encoder_normalize_before pre_norm",
    "model.tie_embeddings": "tied_embeddings tied_embeddings_all share_embeddings weight_tying "
    "share_all_embeddings tied_softmax",
    "model.activation": "activation_fn pos_ffn_activation_fn",
    "model.dropout": "transformer_dropout dropout_rate",
    "model.attention_dropout": "attn_dropout transformer_dropout_attention",
    "model.layer_dropout": "layer_drop layerdrop encoder_layerdrop decoder_layerdrop",
    "model.kind": "type arch architecture model_type",
    "tokenizer.vocab_size": "vocab vocab_sizes bpe_size num_merges dim_vocabs voc_limit voc_size "
    "src_vocab_size",
    "tokenizer.joint": "joined_dictionary share_vocab shared_vocab",
    "tokenizer.sampling_alpha": "bpe_dropout",
    "tokenizer.byte_fallback": "byte_level",
    "data.max_length": "max_len max_seq_len max_sentence_length max_sent_length src_seq_length",
    "data.max_length_ratio": "max_ratio length_ratio",
    "data.src_lang": "source_lang src_language source_language",
    "data.tgt_lang": "target_lang tgt_language target_language trg_lang",
    "data.valid": "dev validation val dev_data valid_sets valid_data",
    "data.train": "train_data train_sets training",
    "decode.beam_size": "beam num_beams beam_width",
    "decode.length_penalty": "alpha beam_alpha normalize lenpen length_penalty_alpha",
}
"""Names in other toolkits by key; a hint for the user may follow the key."""
_SYNONYMS = {
    synonym: key for key, synonyms in _SYNONYM_LISTS.items() for synonym in synonyms.split()
}


def explain(error: Any, path: str, origins: dict[str, str], root: type[Section] = Config) -> str:
    """Return a message with the key, the problem and the way out.

    Args:
        error: one of `ValidationError.errors()`.
        path: the configuration file; the message names the file of the error if it is another.
        origins: the file that each dotted key comes from.
        root: the section that was validated.
    """
    parts = [str(part) for part in error["loc"]]
    # In pydantic's locations, the kind follows the key `model` and the index of a corpus.
    kind_index = {"model": 1, "data": 3}.get(parts[0] if parts else "")
    if parts[:2] == ["data", "valid"] and parts[2:3] and parts.pop(2) == "sets":
        kind_index = 4
    if kind_index is not None:
        del parts[kind_index : kind_index + 1]
    if error["type"] == "union_tag_invalid":
        parts.append("kind")
    key = ".".join(parts)
    # The items of a list or of a set come from the same file as all of it.
    above = itertools.accumulate(parts, "{}.{}".format)
    origin = next((origins[one] for one in reversed([*above]) if one in origins), None)
    where = f" (in {origin})" if origin not in (None, path) else ""
    return (f"{key}: " if key else "") + _message(error, key, root) + where


def _message(error: Any, key: str, root: type[Section]) -> str:
    """Return the problem with a key and the way out."""
    value, word = error.get("input"), error["type"].partition("_")[0]
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{_suggestion(error['loc'], key, root)}"
        case "missing":
            return "required, but missing"
        case "union_tag_invalid":
            kinds = error["ctx"]["expected_tags"].replace("'", "")
            return f"must be one of {kinds}, not {value['kind']!r}"
        case type_ if type_.endswith(("_type", "_parsing", "_from_float")) and word in _TYPES:
            return _wrong_type(_TYPES[word], _section(error["loc"], root), value)
    message = requirement(error)
    if isinstance(value, dict | list):
        return message
    return f"{message}, not {repr(value) if type(value) in (str, int, float) else _shown(value)}"


def requirement(error: Any) -> str:
    """Return the message of a pydantic error in the form "must be greater than 0"."""
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "must", 1)
    return message[0].lower() + message[1:]


def _wrong_type(wanted: str, section: type[Section], value: Any) -> str:
    """Return the type that a key needs, and a description of its value."""
    if wanted == "a section":
        wanted += f", with keys such as {', '.join([*section.model_fields][:3])}"
    needs_quotes = (
        wanted == "text"
        and isinstance(value, int | float | datetime.date)
        and not isinstance(value, bool)  # `_shown` mentions quotes itself
    )
    hint = ': write it in quotes, as in "12"' if needs_quotes else ""
    return f"must be {wanted}, not {_shown(value)}{hint}"


def _shown(value: Any) -> str:
    """Describe a value in terms of YAML."""
    match value:
        case bool():
            spellings = "yes and on as true" if value else "no and off as false"
            return (
                f"{str(value).lower()} (YAML reads {spellings}): "
                f'if it is text, write it in quotes, as in "{"yes" if value else "no"}"'
            )
        case None:
            return "empty"
        case dict():
            return "a section of keys"
        case list():
            return "a list"
        case datetime.date():
            return "a date"
        case int() | float():
            return f"the number {value}"
    return f"the text {value!r}"


def _suggestion(loc: tuple[Any, ...], key: str, root: type[Section]) -> str:
    """Return the key that was probably meant, in the same section or elsewhere."""
    section, name = _section(loc[:-1], root), str(loc[-1])
    if root is Config and (elsewhere := _elsewhere(section, loc, key)):
        return elsewhere
    if close := difflib.get_close_matches(name, section.model_fields, n=1):
        return f": did you mean {close[0]}?"
    return f"; known keys are {', '.join(sorted(section.model_fields))}"


def _elsewhere(section: type[Section], loc: tuple[Any, ...], key: str) -> str:
    """Return the key of a configuration that was probably meant, or nothing."""
    parent, name = key.rpartition(".")[0], str(loc[-1])
    known = _known_keys(loc[1] if loc[0] == "model" and len(loc) > 2 else "transformer")
    meant, _, hint = _SYNONYMS.get(name.lower().replace("-", "_"), "").partition(" ")
    if issubclass(section, Corpus):
        if kinds := [kind for kind, corpus in CORPORA.items() if name in corpus.model_fields]:
            return (
                f": it belongs to a corpus of kind {' or '.join(kinds)}; replace the corpus as a "
                f"whole, as in {parent}='{{src: FILE, tgt: FILE}}'"
            )
    elif meant in known:
        shown = meant.removeprefix(f"{parent}.")
        return f": did you mean {shown}?{' ' if hint else ''}{hint}"
    elif others := [kind for kind in MODELS if key in _known_keys(kind)]:
        return f": it belongs to model.kind {' and '.join(others)}"
    elif moved := [place for place in known if place.rpartition(".")[2] == name]:
        return f": did you mean {min(moved, key=lambda place: place.count('.'))}?"
    return ""


def _section(loc: tuple[Any, ...], root: type[Section]) -> type[Section]:
    """Return the innermost section on the path of a pydantic location."""
    section = root
    for part in loc:
        if kind := MODELS.get(part) or CORPORA.get(part):
            section = kind
        elif field := section.model_fields.get(part):
            section = next(_sections(field.annotation), section)
    return section


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections in the type of a field."""
    if arguments := get_args(annotation):
        for argument in arguments:
            yield from _sections(argument)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation


@functools.cache
def _known_keys(model_kind: str) -> list[str]:
    """Return all dotted keys, without list indices, of configurations with this kind of model."""

    def walk(section: type[Section], prefix: str) -> Iterator[str]:
        for name, field in section.model_fields.items():
            yield f"{prefix}{name}"
            for inner in _sections(field.annotation):
                if inner is MODELS[model_kind] or inner not in MODELS.values():
                    yield from walk(inner, f"{prefix}{name}.")

    return list(dict.fromkeys([*walk(Config, ""), "extends"]))
