"""The command line: parse arguments, call the library, print.

Commands import what they need when they run, so that help and mistakes in a configuration do not
wait for torch.
"""

from collections.abc import Sequence
from importlib import import_module

import typer

from nmt.cli.app import CommandGroup, print_version

_COMMANDS = {
    "Train": {
        "training:train": "train configs/demo.yaml train.max_steps=200 --run-dir runs/short",
        "training:check": "check configs/demo.yaml",
        "training:config": "config configs/demo.yaml model.d_model=256",
        "training:average": "average runs/demo --best 3",
    },
    "Translate and evaluate": {
        "translation:translate": "translate runs/demo test.en --output test.de --beam-size 5",
        "evaluation:evaluate": "evaluate runs/demo --src test.en --ref test.de --confidence",
        "evaluation:score": "score runs/demo --src test.en --tgt test.de",
    },
    "Look into runs": {
        "runs:info": "info runs/demo",
        "runs:report": "report runs/demo runs/other -o report.html",
        "runs:attend": 'attend runs/demo --src "The boys are six." -o attention.html',
        "runs:alignment_error": "alignment-error runs/demo",
    },
    "Prepare text": {
        "corpora:treebank": "treebank --leaves words gum/train train.ptb.gz",
        "corpora:demo_text": "demo-text test runs/demo/test",
    },
    "Use elsewhere": {
        "export:export": "export runs/demo --to ctranslate2 --quantization int8 -o demo-ct2",
    },
}
"""An example of each command, which is a `module:function`, by panel of the help."""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the program.

    Args:
        arguments: those it will be called with. If the first is a command, only that one is built,
            which is faster.
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
    commands = [
        (command, panel, example)
        for panel, examples in _COMMANDS.items()
        for command, example in examples.items()
    ]
    chosen = [each for each in commands if [each[2].split()[0]] == [*arguments[:1]]]
    for command, panel, example in chosen or commands:
        module, _, function = command.partition(":")
        app.command(rich_help_panel=panel, epilog=f"Example: nmt {example}")(
            getattr(import_module(f"nmt.cli.{module}"), function)
        )
    return app
