"""The Python API: load a model, translate, score, align; train and evaluate.

Only this package, with `nmt.engines`, combines configuration, weights, engine and translator. The
command line, reports and scripts call it.

    import nmt

    model = nmt.load("runs/demo")
    print(model.translate("The boys are six years old.").text)

Errors are those of `nmt.errors`; their messages name parameters in backticks.
"""

from nmt.api.evaluation import evaluate
from nmt.api.measuring import calibrate, compare_int8, tune_decode, tune_decode_once
from nmt.api.model import Model, load
from nmt.api.training import backtranslate, distill, train
from nmt.translate.translation import Translation

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
