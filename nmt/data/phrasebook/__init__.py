"""The built-in demo corpus: a synchronous grammar of English and German.

The grammar draws a tree at random and spells it twice, once by the rules of either language
(`tree`). The corpus needs no download, is the same on every machine, and is small enough in
vocabulary for a small model to learn in minutes, while it asks for what makes German hard:
agreement, the verb bracket, word order that depends on the clause, and pronouns that take the
gender of a noun. The German line is a function of the English one, so a perfect score is possible.

    inflection < lexicon < tree < lines < drawing < constructions < splits
"""

from nmt.data.phrasebook.lines import Pair
from nmt.data.phrasebook.splits import SPLITS, SRC_LANG, TGT_LANG, pairs

__all__ = ["SPLITS", "SRC_LANG", "TGT_LANG", "Pair", "pairs"]
