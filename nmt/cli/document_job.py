"""The work of `nmt translate` for documents."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.cli.app import log
from nmt.cli.options import refuse_outputs
from nmt.cli.translation_job import Demands, Extras, Files, Written, report_flaws
from nmt.errors import ConfigError


def document_job(written: Written, files: Files, demands: Demands) -> DocumentJob | None:
    """Return the work if the input is a document; None if it is lines.

    Args:
        written: the format, and options about lines.
        files: the files given.
        demands: how to go about it.

    Raises:
        ConfigError: such an option is given, or the format cannot be written to the standard
            output.
    """
    from nmt.documents.formats import FORMATS, format_of

    name = written.format.value if written.format else format_of(files.source)
    if name not in FORMATS:
        return None
    of_lines = {
        **written.options,
        "--resume": demands.resume,
        "--prefix-file": files.prefixes,
        "--interactive": demands.interactive,
        "--processes": demands.processes > 1,
    }
    if flags := [flag for flag, value in of_lines.items() if value]:
        raise ConfigError(
            f"{', '.join(flags)}: only for lines, not for a document of the format {name}; "
            "--format text reads it as lines"
        )
    if files.output is None and FORMATS[name].is_binary:
        raise ConfigError(f"a document of the format {name} needs --output FILE")
    return DocumentJob(files, name, written.extras, demands)


@dataclass(frozen=True)
class DocumentJob:
    """A document to translate.

    Attributes:
        files: the document, and where its translation goes.
        format: its format.
        extras: how its translation is checked, and the glossary.
        demands: what is an error.
    """

    files: Files
    format: str
    extras: Extras
    demands: Demands

    def run(self, model: Path, computing: dict[str, Any], search: dict[str, Any]) -> None:
        """Translate the document.

        Args:
            model: the model.
            computing: arguments of `nmt.api.load`.
            search: the search options given.

        Raises:
            ConfigError: the output is an input, or an option does not suit the model.
            DataError: the document is damaged; or translations lack required terms, or have flags,
                and that is to be an error.
            FileError: a file cannot be read or written.
        """
        from nmt import api
        from nmt.documents.translation import translate_document
        from nmt.files import writing
        from nmt.progress import progress_bar

        source, output, glossary = self.files.source, self.files.output, self.extras.glossary
        refuse_outputs([output], [source, glossary], [model, *computing["ensemble"]])
        loaded = api.load(model, log=log, **computing)
        document = loaded.read_document(source, search, self.format)
        translator = loaded.document_translator(
            document,
            search,
            warn=_warn,
            glossary=glossary,
            guard=self.extras.guard.value if self.extras.guard else None,
        )
        log(f"engine: {translator.engine}")
        shown = sys.stderr.isatty()
        with progress_bar("translating", len(document.segments), shown=shown) as advance:
            content = translate_document(document, translator, advance)
        with writing(output) as file:
            file.write(content)
        report_flaws(translator, self.demands, "segment")


def _warn(message: str) -> None:
    """Log a message about a line, which in a document is a segment."""
    log(re.sub(r"^line (?=\d)", "segment ", message))
