"""The Python API: load a model, translate, score, align; train and evaluate.

Only this package, with `nmt.engines`, combines configuration, weights, engine and translator. The
command line, reports and scripts call it.

    import nmt

    model = nmt.load("runs/demo")
    print(model.translate("The boys are six years old.").text)

Errors are those of `nmt.errors`; their messages name parameters in backticks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmt.api.evaluation import evaluate
    from nmt.api.measuring import calibrate, compare_int8, tune_decode, tune_decode_once
    from nmt.api.model import Model, load
    from nmt.api.training import backtranslate, distill, train
    from nmt.translate.translation import Translation

_MODULES = {
    "nmt.api.evaluation": ["evaluate"],
    "nmt.api.measuring": ["calibrate", "compare_int8", "tune_decode", "tune_decode_once"],
    "nmt.api.model": ["Model", "load"],
    "nmt.api.training": ["backtranslate", "distill", "train"],
    "nmt.translate.translation": ["Translation"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Model",
    "Translation",
    "backtranslate",
    "calibrate",
    "compare_int8",
    "distill",
    "evaluate",
    "load",
    "train",
    "tune_decode",
    "tune_decode_once",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: translation need not wait for training."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nmt.api' has no attribute {name!r}")
