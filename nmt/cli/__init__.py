"""The command line: parse arguments, call the library, print.

Commands import what they need when they run, so that help and mistakes in a configuration do not
wait for torch.
"""

from typing import Any

import typer

from nmt.cli.app import CommandGroup, print_version
from nmt.cli.corpora import demo_text, treebank
from nmt.cli.evaluation import evaluate, score
from nmt.cli.export import export
from nmt.cli.runs import alignment_error, attend, info, report
from nmt.cli.training import average, check, config, train
from nmt.cli.translation import translate

_COMMANDS: dict[str, dict[Any, str]] = {
    "Train": {
        train: "nmt train configs/demo.yaml train.max_steps=200 --run-dir runs/short",
        check: "nmt check configs/demo.yaml",
        config: "nmt config configs/demo.yaml model.d_model=256",
        average: "nmt average runs/demo --best 3",
    },
    "Translate and evaluate": {
        translate: "nmt translate runs/demo test.en --output test.de --beam-size 5",
        evaluate: "nmt evaluate runs/demo --src test.en --ref test.de --confidence",
        score: "nmt score runs/demo --src test.en --tgt test.de",
    },
    "Look into runs": {
        info: "nmt info runs/demo",
        report: "nmt report runs/demo runs/other -o report.html",
        attend: 'nmt attend runs/demo --src "The boys are six." -o attention.html',
        alignment_error: "nmt alignment-error runs/demo",
    },
    "Prepare text": {
        treebank: "nmt treebank --leaves words gum/train train.ptb.gz",
        demo_text: "nmt demo-text test runs/demo/test",
    },
    "Use elsewhere": {
        export: "nmt export runs/demo --to ctranslate2 --quantization int8 -o demo-ct2",
    },
}
"""The commands by panel of the help, each with an example."""

app = typer.Typer(
    name="nmt",
    cls=CommandGroup,
    help="Neural machine translation with the Transformer: train, translate, evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.callback()(print_version)
for _panel, _commands in _COMMANDS.items():
    for _command, _example in _commands.items():
        app.command(rich_help_panel=_panel, epilog=f"Example: {_example}")(_command)
