"""The work of `nmt translate` for documents."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.cli.app import log
from nmt.cli.translation_job import Demands, Extras, Files, Written, report_flaws
from nmt.errors import ConfigError

if TYPE_CHECKING:
    from nmt.documents.document import Translatable
    from nmt.translate.translator import Translator


def document_job(written: Written, files: Files, demands: Demands) -> DocumentJob | None:
    """Return the work if the input is a document; None if it is lines.

    Args:
        written: the format, and options about lines.
        files: the files given.
        demands: how to go about it.

    Raises:
        ConfigError: if such an option is given, or the format cannot be written to the standard
            output.
    """
    from nmt.documents.formats import FORMATS, format_of

    name = written.format.value if written.format else format_of(files.source)
    if name not in FORMATS:
        return None
    of_lines = {
        **written.options,
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
        demands: what is an error, and whether an interrupted translation is continued.
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
            ConfigError: if an option does not suit the model, or differs from that of the
                translation to continue.
            DataError: if the document is damaged; or translations lack required terms, or have
                flags, and that is to be an error.
            FileError: if a file cannot be read or written.
        """
        from nmt import api

        loaded = api.load(model, log=log, **computing)
        document = loaded.read_document(self.files.source, search, self.format)
        translator = loaded.document_translator(
            document,
            search,
            warn=_log,
            glossary=self.extras.glossary,
            guard=self.extras.guard.value if self.extras.guard else None,
        )
        log(f"engine: {translator.engine}")
        self._translate(document, translator)
        report_flaws(translator, self.demands, "segment")

    def _translate(self, document: Translatable, translator: Translator) -> None:
        from nmt.documents.translation import translate_document, translate_document_file
        from nmt.files import writing
        from nmt.progress import progress_bar

        shown = sys.stderr.isatty()
        with progress_bar("translating", len(document.segments), shown=shown) as advance:
            if self.files.output:
                translate_document_file(
                    document,
                    translator,
                    self.files.output,
                    resume=self.demands.resume,
                    log=_log,
                    advance=advance,
                )
                return
            content = translate_document(document, translator, advance)
        with writing(None) as file:
            file.write(content)


def _log(message: str) -> None:
    """Log a message about lines, which in a document are segments."""
    log(re.sub(r"\bline (?=\d)", "segment ", message))
