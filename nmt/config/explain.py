"""What is wrong with a configuration, in words for who wrote it."""

from __future__ import annotations

import datetime
import difflib
import functools
import itertools
from typing import Any

from nmt.config.corpora import CORPUS_KINDS
from nmt.config.models import MODELS
from nmt.config.schema import Config

_WRONG_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a section",
    "model_type": "a section",
    "model_attributes_type": "a section",
}
"""What a key takes, by the type of pydantic's error."""

_IN_TOKENS = "It counts tokens, not sentences"
_IN_STEPS = "It counts steps: nmt check says how many an epoch has"
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
# By key, what other toolkits call it; a comment for the user may follow the key.
_SYNONYMS = {
    synonym: key for key, synonyms in _SYNONYM_LISTS.items() for synonym in synonyms.split()
}


def explain(error: Any, path: str, origins: dict[str, str]) -> str:
    """Say where one of pydantic's errors is and what to do.

    Args:
        error: one of `ValidationError.errors()`.
        path: the configuration; a fault in another file names that.
        origins: the file that each dotted key comes from.
    """
    parts, model_kind = _location(error)
    key = ".".join(parts)
    # What stands in a list comes from the file of the list.
    origin = origins.get(".".join(itertools.takewhile(lambda part: not part.isdecimal(), parts)))
    where = f" (in {origin})" if origin not in (None, path) else ""
    return (f"{key}: " if key else "") + _message(error, parts, model_kind) + where


def _location(error: Any) -> tuple[list[str], str]:
    """List the keys that lead to where one of pydantic's errors is; name the kind of the model."""
    # Pydantic puts the tag of a union member into the location, after the index of the corpus or
    # the section of the model.
    corpus_kinds = set(CORPUS_KINDS.values())
    model_kind, parts = "transformer", []
    for before, part in zip((None, *error["loc"]), error["loc"], strict=False):
        if before == "model" and part in MODELS:
            model_kind = part
        elif not (isinstance(before, int) and part in corpus_kinds):
            parts.append(str(part))
    if error["type"] == "model_kind" and isinstance(
        error.get("input"), dict
    ):  # found where the section is, not the key in it
        return [*parts, "kind"], model_kind
    if error["type"] == "extra_forbidden":
        return parts, model_kind
    members = ("constrained-int", "int", "str")
    if _starred(parts[:-1]) in _known_keys(model_kind) and parts[-1] in members:
        parts.pop()  # it is the member of a union that did not fit
    return parts, model_kind


def _message(error: Any, parts: list[str], model_kind: str) -> str:
    """Say what is wrong at a place and what to do."""
    if error["type"] == "extra_forbidden":
        return f"unknown key{_suggestion(parts, model_kind)}"
    if error["type"] == "missing":
        return "required, but not there"
    given = error.get("input")
    if error["type"] == "model_kind" and not isinstance(given, dict):
        return _wrong_type("a section", error, parts, model_kind)
    if error["type"] in _WRONG_TYPES:
        return _wrong_type(_WRONG_TYPES[error["type"]], error, parts, model_kind)
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if isinstance(given, bool):
        return f"{message}, but it is {_given(given)}"
    return f"{message}, but it is {given!r}" if isinstance(given, str | int | float) else message


def _wrong_type(wanted: str, error: Any, parts: list[str], model_kind: str) -> str:
    """Say what a key takes and what stands there; quotes help where YAML took text for a value."""
    if wanted == "a section":
        inside = _starred(parts)
        keys = [key for key in _known_keys(model_kind) if key.rpartition(".")[0] == inside]
        wanted += f", with keys such as {', '.join(k.rpartition('.')[2] for k in keys[:3])}"
    elif _starred(parts) in ("data.train", "data.valid", "data.test"):
        wanted = "a corpus, such as {src: FILE, tgt: FILE}, or a list of them"
    given = error.get("input")
    text = f"it takes {wanted}, but it is {_given(given)}"
    if wanted == "text" and isinstance(given, int | float | datetime.date):
        # YAML's truth values say so already.
        text += "" if isinstance(given, bool) else ': write it in quotes, as in "12"'
    return text


def _given(value: Any) -> str:
    """Describe a value as the user knows it from YAML."""
    if isinstance(value, bool):
        spellings = "yes, on and true" if value else "no, off and false"
        word = "yes" if value else "no"
        return (
            f"{str(value).lower()}, which YAML takes {spellings} for: "
            f'if it is text, write it in quotes, as in "{word}"'
        )
    if value is None:
        return "empty"
    kinds = {dict: "a section of keys", list: "a list", datetime.date: "a date"}
    for kind, name in kinds.items():
        if isinstance(value, kind):
            return name
    return f"the number {value}" if isinstance(value, int | float) else f"the text {value!r}"


def _suggestion(parts: list[str], model_kind: str) -> str:
    """Name the key that was probably meant: alike and in the same section, or elsewhere."""
    known = _known_keys(model_kind)
    parent, name = _starred(parts[:-1]), parts[-1]
    siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == parent]
    if parent.endswith("*") and name in CORPUS_KINDS:
        return ": it belongs to another kind of corpus; replace the corpus whole, as in " + (
            f"{'.'.join(parts[:-1])}='{{src: FILE, tgt: FILE}}'"
        )
    synonym = _SYNONYMS.get(name.lower().replace("-", "_"), "")
    meant, _, unit = synonym.partition(" ")
    if meant in known:
        shown = meant.rpartition(".")[2] if meant.rpartition(".")[0] == parent else meant
        return f": did you mean {shown}?{' ' if unit else ''}{unit}"
    if others := [kind for kind in MODELS if _starred(parts) in _known_keys(kind)]:
        return f": it belongs to model.kind {' and '.join(others)}"
    if moved := [key for key in known if key.rpartition(".")[2] == name]:
        return f": did you mean {moved[0]}?"
    if close := difflib.get_close_matches(name, siblings, n=1):
        return f": did you mean {close[0]}?"
    return f"; known are {', '.join(sorted(set(siblings)))}" if siblings else ""


def _starred(parts: list[str]) -> str:
    """Join the parts of a key as `_known_keys` has them."""
    return ".".join("*" if part.isdecimal() else part for part in parts)


@functools.cache
def _known_keys(model_kind: str) -> list[str]:
    """List every key of the schema for a kind of model with dots, `*` standing for an index."""
    schema = Config.model_json_schema()

    def walk(node: dict[str, Any], prefix: str) -> list[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if node.get("properties", {}).get("kind", {}).get("const", model_kind) != model_kind:
            return []
        found = []
        for name, child in node.get("properties", {}).items():
            found += [f"{prefix}{name}", *walk(child, f"{prefix}{name}.")]
        for child in node.get("oneOf", []) + node.get("anyOf", []) + node.get("allOf", []):
            found += walk(child, prefix)
        if "items" in node:
            found += walk(node["items"], f"{prefix}*.")
        return found

    return list(dict.fromkeys(walk(schema, "")))
