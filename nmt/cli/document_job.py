"""The work of `nmt translate` for documents."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.cli.app import log
from nmt.cli.options import refuse_outputs
from nmt.cli.translation_job import report_terms
from nmt.errors import ConfigError


@dataclass(frozen=True)
class DocumentJob:
    """A document to translate.

    Attributes:
        file: the document; None for the standard input.
        output: where its translation goes; None for the standard output.
        format: its format.
        glossary: a file with required translations of terms.
        unusable: options of lines, and whether they are given.
    """

    file: Path | None
    output: Path | None
    format: str
    glossary: Path | None
    unusable: Mapping[str, object]

    def check(self, models: list[Path]) -> None:
        """Refuse early what would fail after minutes of work.

        Raises:
            ConfigError: an option does not suit documents, or an output is an input.
            FileError: the directory of the output does not exist.
        """
        from nmt.documents.formats import FORMATS

        if given := [flag for flag, value in self.unusable.items() if value]:
            raise ConfigError(
                f"{', '.join(given)}: only for lines, not for a document of the format "
                f"{self.format}; --format text reads it as lines"
            )
        if self.output is None and FORMATS[self.format].is_binary:
            raise ConfigError(f"a document of the format {self.format} needs --output FILE")
        refuse_outputs([self.output], [self.file, self.glossary], models)

    def run(
        self, model: Path, computing: dict[str, Any], search: dict[str, Any], *, strict: bool
    ) -> None:
        """Translate the document.

        Args:
            model: the model.
            computing: arguments of `nmt.api.load`.
            search: the search options given.
            strict: end with an error if the translation lacks required terms.
        """
        from nmt import api
        from nmt.documents.formats import read_document
        from nmt.documents.translation import translate_document
        from nmt.files import writing
        from nmt.progress import progress_bar

        document = read_document(self.file, self.format)
        loaded = api.load(model, log=log, **computing)
        translator = loaded.document_translator(
            document, search, warn=_warn, glossary=self.glossary
        )
        log(f"engine: {translator.engine}")
        shown = sys.stderr.isatty()
        with progress_bar("translating", len(document.segments), shown=shown) as advance:
            content = translate_document(document, translator, advance)
        with writing(self.output) as file:
            file.write(content)
        report_terms(translator, strict)


def _warn(message: str) -> None:
    """Log a message about a line, which in a document is a segment."""
    log(re.sub(r"^line (?=\d)", "segment ", message))
