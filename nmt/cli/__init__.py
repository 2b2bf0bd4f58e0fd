"""The command line: parse arguments, call the library, print.

Commands import what they need when they run, so that help and mistakes in a configuration do not
wait for torch.
"""

from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import typer

from nmt.cli.app import CommandGroup, print_version

_COMMANDS = {
    "recipe": ("Train", "recipe", "train.en train.de --hours 2 -o recipe.yaml"),
    "train": ("Train", "training", "configs/demo.yaml train.max_steps=200 --run-dir runs/short"),
    "check": ("Train", "training", "configs/demo.yaml"),
    "config": ("Train", "training", "configs/demo.yaml model.d_model=256"),
    "distill": ("Train", "training", "runs/demo configs/demo-student.yaml"),
    "backtranslate": ("Train", "backtranslation", "configs/demo.yaml --mono news.de"),
    "reproduce": ("Train", "reproduction", "demo --run-dir runs/demo"),
    "average": ("Train", "training", "runs/demo --best 3"),
    "shortlist": ("Train", "training", "runs/demo --best 100 --frequent 100"),
    "tune-decode": ("Train", "decoding", "runs/demo --beam-sizes 4,8"),
    "calibrate": ("Train", "decoding", "runs/demo"),
    "translate": (
        "Translate and evaluate",
        "translation",
        "runs/demo test.en --output test.de --beam-size 5",
    ),
    "evaluate": (
        "Translate and evaluate",
        "evaluation",
        "runs/demo --src test.en --ref test.de --confidence",
    ),
    "compare": (
        "Translate and evaluate",
        "comparison",
        "old.de new.de --ref test.de --src test.en --html comparison.html",
    ),
    "score": ("Translate and evaluate", "evaluation", "runs/demo --src test.en --tgt test.de"),
    "serve": ("Translate and evaluate", "serving", "runs/demo --port 5000"),
    "info": ("Look into runs", "runs", "runs/demo"),
    "report": ("Look into runs", "runs", "runs/demo runs/other -o report.html"),
    "attend": ("Look into runs", "runs", 'runs/demo --src "The boys are six." -o attention.html'),
    "alignment-error": ("Look into runs", "runs", "runs/demo"),
    "clean": (
        "Prepare text",
        "cleaning",
        "train.en train.de -o clean.en clean.de --rejected dropped.tsv length.max_words=80",
    ),
    "treebank": ("Prepare text", "corpora", "--leaves words gum/train train.ptb.gz"),
    "demo-text": ("Prepare text", "corpora", "test runs/demo/test"),
    "export": (
        "Use elsewhere",
        "export",
        "runs/demo --to ctranslate2 --quantization int8 -o demo-ct2",
    ),
    "import": ("Use elsewhere", "export", "opus-mt-en-de -o runs/opus-en-de"),
    "push": ("Use elsewhere", "hub", "runs/demo owner/demo-en-de --private"),
    "pull": ("Use elsewhere", "hub", "owner/demo-en-de -o runs/pulled"),
}
"""The panel of the help, the module and example arguments of each command."""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the program.

    Args:
        arguments: the arguments that it will be called with. If the first is a command, only that
            command is built, which is faster.
    """
    app = typer.Typer(
        name="nmt",
        cls=CommandGroup,
        help="Neural machine translation with the Transformer: train, translate, evaluate.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(print_version)
    for name in [name for name in arguments[:1] if name in _COMMANDS] or _COMMANDS:
        panel, module, example = _COMMANDS[name]
        function = getattr(
            import_module(f"nmt.cli.{module}"), name.replace("-", "_") + "_" * iskeyword(name)
        )
        app.command(name, rich_help_panel=panel, epilog=f"Example: nmt {name} {example}")(function)
    return app
