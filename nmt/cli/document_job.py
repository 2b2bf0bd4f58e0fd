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
from nmt.cli.translation_job import Written, report_terms
from nmt.errors import ConfigError


def document_job(
    written: Written,
    file: Path | None,
    output: Path | None,
    glossary: Path | None,
    others: Mapping[str, object],
) -> DocumentJob | None:
    """Return the work if the input is a document; None if it is lines.

    Args:
        written: the format, and options about lines.
        file, output, glossary: the files given.
        others: other options that do not suit documents, by flag.

    Raises:
        ConfigError: such an option is given, or the format cannot be written to the standard
            output.
    """
    from nmt.documents.formats import FORMATS, format_of

    name = written.format.value if written.format else format_of(file)
    if name not in FORMATS:
        return None
    if given := [flag for flag, value in {**written.options, **others}.items() if value]:
        raise ConfigError(
            f"{', '.join(given)}: only for lines, not for a document of the format {name}; "
            "--format text reads it as lines"
        )
    if named(output) is None and FORMATS[name].is_binary:
        raise ConfigError(f"a document of the format {name} needs --output FILE")
    return DocumentJob(file, named(output), name, glossary)


def named(output: Path | None) -> Path | None:
    """Return the file of `--output`; None for the standard output."""
    return None if output == Path("-") else output


@dataclass(frozen=True)
class DocumentJob:
    """A document to translate.

    Attributes:
        file: the document; None for the standard input.
        output: where its translation goes; None for the standard output.
        format: its format.
        glossary: a file with required translations of terms.
    """

    file: Path | None
    output: Path | None
    format: str
    glossary: Path | None

    def run(
        self, model: Path, computing: dict[str, Any], search: dict[str, Any], *, strict: bool
    ) -> None:
        """Translate the document.

        Args:
            model: the model.
            computing: arguments of `nmt.api.load`.
            search: the search options given.
            strict: end with an error if the translation lacks required terms.

        Raises:
            ConfigError: the output is an input, or an option does not suit the model.
            DataError: the document is damaged; or `strict` is set, and terms are missing.
            FileError: a file cannot be read or written.
        """
        from nmt import api
        from nmt.documents.formats import read_document
        from nmt.documents.translation import translate_document
        from nmt.files import writing
        from nmt.progress import progress_bar

        refuse_outputs([self.output], [self.file, self.glossary], [model, *computing["ensemble"]])
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
