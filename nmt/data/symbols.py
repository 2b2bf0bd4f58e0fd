"""Control symbols added to vocabularies: tokens that no text contains."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.data.model_file import Piece, PieceKind, parse, with_pieces
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError


def with_symbols(tokenizers: Tokenizers, symbols: Sequence[str]) -> Tokenizers:
    """Return tokenizers whose source side has some control symbols.

    Args:
        tokenizers: of both sides; with a joint vocabulary, both get the symbols.
        symbols: those that are missing become the last ids.

    Raises:
        ConfigError: if one is an ordinary piece, which text can contain.
    """
    src = tokenizers.src
    missing = [symbol for symbol in symbols if symbol not in src.control_symbols]
    if not missing:
        return tokenizers
    model = src.serialized()
    for symbol in {piece.text for piece in parse(model).pieces}.intersection(missing):
        raise ConfigError(
            f"tokenizer: the vocabulary has {symbol} as a piece that text can contain, but here it "
            "must be a control symbol: use another tokenizer, such as one that nmt trains"
        )
    pieces = [Piece(symbol, 0.0, PieceKind.CONTROL) for symbol in missing]
    extended = Tokenizer(with_pieces(model, pieces))
    return Tokenizers(extended, extended if tokenizers.joint else tokenizers.tgt)
