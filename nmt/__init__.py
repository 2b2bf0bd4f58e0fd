"""Neural machine translation with the Transformer, from raw text to BLEU.

    import nmt

    model = nmt.load("runs/demo")
    print(model.translate("The boys are six years old.").text)

What needs torch is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.api import Model, backtranslate, distill, evaluate, load, train
    from nmt.translate.translation import Translation

__all__ = [
    "Model",
    "Translation",
    "__version__",
    "backtranslate",
    "distill",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the names of the API on first use."""
    if name in __all__:
        from nmt import api

        return getattr(api, name)
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")
