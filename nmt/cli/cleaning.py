"""nmt clean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.app import log
from nmt.cli.options import AsJson, refuse_outputs
from nmt.errors import ConfigError
from nmt.limits import MAX_THREADS

if TYPE_CHECKING:
    from nmt.config.cleaning import CleanConfig
    from nmt.config.corpora import AnyCorpus

_RECORDS = {".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}

Text = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SRC TGT [KEY=VALUE]",
        help="Two text files, or one .tsv, .jsonl or .parquet; then changes to the rules, such as "
        "numbers=false or length.max_words=80 (see --list).",
        show_default=False,
    ),
]
Outputs = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT_SRC OUT_TGT",
        help="Where the pairs that are kept go (.gz is compressed). Default: only the report.",
        show_default=False,
    ),
]
Rejected = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        help="Where the others go: line, rule, source and target, separated by tabs, or as .jsonl.",
    ),
]
RulesFile = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="A YAML file with changes to the rules."),
]
Only = Annotated[
    str | None,
    typer.Option(metavar="RULE,RULE,...", help="Turn all other rules off, but for empty sides."),
]
Langs = Annotated[
    str | None,
    typer.Option(
        metavar="SRC-TGT", help="The languages, as in en-de. Default: the ends of the file names."
    ),
]
Examples = Annotated[
    int, typer.Option(min=0, max=10_000, help="Show this many pairs that each rule drops.")
]
Processes = Annotated[
    int | None,
    typer.Option(
        min=1, max=MAX_THREADS, metavar="N", help="Processes that work. Default: one per core."
    ),
]


def clean(
    text: Text = None,
    output: Outputs = None,
    rejected: Rejected = None,
    rules: RulesFile = None,
    only: Only = None,
    langs: Langs = None,
    examples: Examples = 0,
    processes: Processes = None,
    as_json: AsJson = False,
    list_rules: Annotated[bool, typer.Option("--list", help="List the rules and quit.")] = False,
) -> None:
    """Drop pairs of a parallel corpus that would harm training.

    The first rule that applies drops a pair. All others are kept as they are, in order.
    """
    files = [word for word in text or [] if not re.match(r"[a-z_.]+=", word)]
    config = _config(rules, [word for word in text or [] if word not in files], only)
    if list_rules:
        _print_rules(config)
        return
    corpus, languages = _corpus(files), _languages(files, langs)
    if None in languages and (config.language or config.script):
        log("the languages are not known: the rules language and script need --langs, as in en-de")
    _refuse(corpus, [*(output or []), *([rejected] if rejected else [])])
    _run(corpus, config, languages, output or (), rejected, processes, examples, as_json)


def _refuse(corpus: AnyCorpus, outputs: list[Path]) -> None:
    """Refuse outputs that are inputs or each other, before hours of work."""
    from nmt.data.corpus import files_of

    if Path("-") in outputs or len({*outputs}) < len(outputs):
        raise ConfigError(
            "--output and --rejected must name different files; only the report is printed"
        )
    refuse_outputs([*outputs], [*files_of(corpus)], [])


def _run(
    corpus: AnyCorpus,
    config: CleanConfig,
    languages: tuple[str | None, str | None],
    outputs: tuple[Path, ...],
    rejected: Path | None,
    processes: int | None,
    examples: int,
    as_json: bool,
) -> None:
    from nmt.clean.rules import Rules
    from nmt.clean.run import clean_corpus
    from nmt.cli.translation_job import file_bar
    from nmt.config.data import DataConfig
    from nmt.console import Console
    from nmt.data.corpus import files_of
    from nmt.engines import num_threads

    src, tgt = languages
    data = DataConfig(
        src_lang=src or "src", tgt_lang=tgt or "tgt", train=[corpus], invalid_utf8="skip"
    )
    with file_bar("cleaning", files_of(corpus)[0], shown=True) as advance:
        report = clean_corpus(
            corpus,
            data,
            Rules(config, languages),
            outputs=outputs,
            rejected=rejected,
            processes=processes or num_threads(),
            num_examples=examples,
            advance=advance,
        )
    if as_json:
        typer.echo(report.to_json())
    else:
        report.print(Console())


def _config(path: Path | None, overrides: list[str], only: str | None) -> CleanConfig:
    """Return the rules."""
    from nmt.config.cleaning import CleanConfig
    from nmt.config.load import load_section

    config = load_section(CleanConfig, path, overrides, "the rules")
    if only is None:
        return config
    names = only.split(",")
    known = CleanConfig.model_fields
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--only {unknown[0]}: no such rule; there are {', '.join(known)}")
    if off := [name for name in names if not getattr(config, name)]:
        raise ConfigError(f"--only {off[0]}: this rule is off; set {off[0]}=true, or its keys")
    others = [name for name in known if name not in names]
    return config.model_copy(update=dict.fromkeys(others))


def _corpus(files: list[str]) -> AnyCorpus:
    """Return the corpus that the arguments name."""
    from pydantic import TypeAdapter

    from nmt.config.corpora import AnyCorpus

    kind = _RECORDS.get(_stem(files[0]).suffix) if len(files) == 1 else None
    if len(files) != 2 and kind is None:
        raise ConfigError(
            "name two text files, SRC and TGT, or one whose name ends in .tsv, .jsonl or .parquet"
        )
    keys = {kind: files[0]} if kind else {"src": files[0], "tgt": files[1]}
    corpus: AnyCorpus = TypeAdapter(AnyCorpus).validate_python(keys)
    return corpus


def _languages(files: list[str], langs: str | None) -> tuple[str | None, str | None]:
    """Return the languages that are named, or known ones at the ends of the names of two files."""
    from nmt.data.scripts import scripts_of

    if langs:
        src, _, tgt = langs.partition("-")
        if not src or not tgt:
            raise ConfigError(f"--langs {langs}: must be two languages, as in en-de")
        return src, tgt
    codes = [_stem(name).suffix[1:] for name in files] if len(files) == 2 else ["", ""]
    src_lang, tgt_lang = (code if scripts_of(code) else None for code in codes)
    return src_lang, tgt_lang


def _stem(name: str) -> Path:
    return Path(name.removesuffix(".gz"))


def _print_rules(config: CleanConfig) -> None:
    """Print the rules with their limits and what they mean."""
    from rich.table import Table

    from nmt.config.cleaning import CleanConfig, limits_of
    from nmt.console import Console

    table = Table.grid(padding=(0, 2))
    for name, meaning in CleanConfig.documentation().items():
        rule, limits = getattr(config, name), limits_of(name)
        table.add_row(name if rule else f"{name} (off)", " ".join(meaning.split()))
        for key, text in limits.documentation().items() if limits else ():
            value = _shown(getattr(rule, key) if rule else None)
            table.add_row(f"  {name}.{key}={value}", " ".join(text.split()))
    Console().print(table)


def _shown(value: object) -> str:
    """Return a value as it is written in YAML, or the beginning of a long list."""
    if isinstance(value, list):
        return f"[{', '.join([*map(str, value[:2]), '…'][: len(value)])}]"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
