"""Inflection of the words of the phrasebook: types of entries, and paradigm tables.

An entry pairs one English word with one German word. Regular forms are derived; only irregular ones
are listed, in the notation documented at the functions below.
"""

import re
from enum import Enum, Flag, IntEnum, auto
from functools import cache
from typing import NamedTuple


class Case(IntEnum):
    """German case; the value is a row of the paradigm tables."""

    NOM = 0
    ACC = 1
    DAT = 2
    GEN = 3


class Gender(IntEnum):
    """German gender, with the plural as a fourth; the value is a column of the tables."""

    M = 0
    F = 1
    N = 2
    PL = 3


class Person(IntEnum):
    """Person and number; the value is an index into conjugation tables."""

    S1 = 0
    S2 = 1
    S3 = 2
    P1 = 3
    P2 = 4
    P3 = 5


class Kind(Flag):
    """Semantic kinds of nouns. Verbs and adjectives name the kinds they go with."""

    NONE = 0
    PERSON = auto()
    KIN = auto()
    ANIMAL = auto()
    FOOD = auto()
    DISH = auto()
    BAKED = auto()
    DRINK = auto()
    TEXT = auto()
    TALE = auto()
    CLOTHES = auto()
    GARMENT = auto()
    """Clothes that are put on, taken off and washed; a hat is only worn."""
    FLAT = auto()
    UPRIGHT = auto()
    TOOL = auto()
    LUGGAGE = auto()
    PRESENT = auto()
    DEVICE = auto()
    OPENABLE = auto()
    FURNITURE = auto()
    VEHICLE = auto()
    BUILDING = auto()
    ROOM = auto()
    OUTDOORS = auto()
    LESSON = auto()
    SHOW = auto()
    MUSIC = auto()
    TRANSPORT = auto()
    OWN = auto()
    """May have an owner although others of its kind may not: my friend, my garden."""


class Paradigm(Enum):
    """How a German determiner and the adjective after it inflect."""

    DER = "der"
    DIESER = "dieser"
    EIN = "ein"
    VIELE = "viele"
    """Endings of "dieser", repeated by the adjective: viele alte Bücher."""
    FIXED = "fixed"
    """No endings; only the adjective has them: drei alte Bücher."""


# Rows are cases, columns are genders, as in every table below.
_DER = (
    ("der", "die", "das", "die"),
    ("den", "die", "das", "die"),
    ("dem", "der", "dem", "den"),
    ("des", "der", "des", "der"),
)
_DIESER = (
    ("er", "e", "es", "e"),
    ("en", "e", "es", "e"),
    ("em", "er", "em", "en"),
    ("es", "er", "es", "er"),
)
_EIN = (
    ("", "e", "", "e"),
    ("en", "e", "", "e"),
    ("em", "er", "em", "en"),
    ("es", "er", "es", "er"),
)
_WEAK = (
    ("e", "e", "e", "en"),
    ("en", "e", "e", "en"),
    ("en", "en", "en", "en"),
    ("en", "en", "en", "en"),
)
_MIXED = (
    ("er", "e", "es", "en"),
    ("en", "e", "es", "en"),
    ("en", "en", "en", "en"),
    ("en", "en", "en", "en"),
)
_STRONG = (
    ("er", "e", "es", "e"),
    ("en", "e", "es", "e"),
    ("em", "er", "em", "en"),
    ("en", "er", "en", "er"),
)


_ADJECTIVE_ENDINGS = {
    Paradigm.DER: _WEAK,
    Paradigm.DIESER: _WEAK,
    Paradigm.EIN: _MIXED,
    Paradigm.VIELE: _STRONG,
    Paradigm.FIXED: _STRONG,
}
_RELATIVE = (
    ("der", "die", "das", "die"),
    ("den", "die", "das", "die"),
    ("dem", "der", "dem", "denen"),
)


class Determiner(NamedTuple):
    """A determiner; `en` is empty for a bare noun, `de` is the stem the endings attach to."""

    en: str
    de: str
    paradigm: Paradigm
    definite: bool = False
    plural: bool | None = None
    """The number it requires of its noun; None if both are possible."""

    def form(self, case: Case, gender: Gender) -> str:
        """Return the German form, such as "keinen" for the masculine accusative of "kein"."""
        return _determiner_form(self.de, self.paradigm, case, gender)


@cache
def _determiner_form(stem: str, paradigm: Paradigm, case: Case, gender: Gender) -> str:
    if paradigm is Paradigm.DER:
        return _DER[case][gender]
    if paradigm is Paradigm.FIXED:
        return stem
    ending = (_EIN if paradigm is Paradigm.EIN else _DIESER)[case][gender]
    # "euer" drops its second e before an ending: eure, eurem.
    return ("eur" if stem == "euer" and ending else stem) + ending


def relative_pronoun(case: Case, gender: Gender) -> str:
    """Return the German relative pronoun, which differs from the article in the dative plural."""
    return _RELATIVE[case][gender]


class Adjective(NamedTuple):
    """An adjective with the kinds of nouns it describes."""

    en: str
    de: str
    kinds: Kind
    comparative: tuple[str, str] = ("", "")
    stem: str = ""
    """The stem for German endings if it differs from `de` (teuer: teur-es)."""

    def form(self, paradigm: Paradigm, case: Case, gender: Gender) -> str:
        """Return the German form before a noun: (ein) alter, (der) alte, (dem) alten."""
        return (self.stem or self.de) + _ADJECTIVE_ENDINGS[paradigm][case][gender]


class Noun(NamedTuple):
    """A noun; without a German plural it is used in the singular only (water, my mother)."""

    en: str
    de: str
    de_plural: str
    gender: Gender
    kinds: Kind
    en_plural: str = ""
    weak: bool = False
    """Weak masculine (n-declension): every form but the nominative singular looks plural."""
    at: str = ""
    """Prepositions for being there, as "English German": "at an"."""
    to: str = ""
    """Prepositions for going there, as "English German": "to zu"."""

    @property
    def countable(self) -> bool:
        """Return whether it has a plural; mass nouns and relatives such as "mother" have none."""
        return bool(self.de_plural)

    def en_form(self, plural: bool) -> str:
        """Return the English singular or plural."""
        return (self.en_plural or _english_s(self.en)) if plural else self.en

    def de_form(self, case: Case, plural: bool) -> str:
        """Return the German form in a case: Hunde, (den) Hunden, (des) Hundes, (den) Nachbarn."""
        if plural:
            takes_n = case is Case.DAT and self.de_plural[-1] not in "ns"
            return self.de_plural + "n" if takes_n else self.de_plural
        if self.weak and case is not Case.NOM:
            return self.de_plural
        if case is Case.GEN and self.gender is not Gender.F:
            return self.de + _genitive_ending(self.de)
        return self.de


_VOWELS = re.compile("[aeiouyäöü]+", re.IGNORECASE)


def _genitive_ending(stem: str) -> str:
    """Return "es" after a sibilant or a single syllable (Arztes, Hauses), else "s" (Lehrers)."""
    sibilant = stem.endswith(("s", "ß", "x", "z", "sch"))
    return "es" if sibilant or len(_VOWELS.findall(stem)) == 1 else "s"


def _english_s(word: str) -> str:
    """Return a word with the ending of plurals and of the third person: boxes, stories, days."""
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


class Profession(NamedTuple):
    """A profession. German has a word for each sex and uses no article."""

    en: str
    de_male: str
    de_female: str


class PronounEntry(NamedTuple):
    """A personal pronoun with its possessive in both languages."""

    person: Person
    en: tuple[str, str]
    """Subject and object form."""
    de: tuple[str, str, str]
    """Nominative, accusative, dative."""
    possessive: tuple[str, str]


class EnglishVerb(NamedTuple):
    """The forms of an English verb; the particle follows the verb ("look for", "turn on")."""

    base: str
    third: str
    past: str
    participle: str
    ing: str
    particle: str = ""
    movable: bool = False
    """Whether a pronoun object comes before the particle: "turns it on"."""


class GermanVerb(NamedTuple):
    """The forms of a German verb, with the separable prefix stored separately."""

    prefix: str
    infinitive: str
    """Without the prefix."""
    present: tuple[str, ...]
    """Six forms, indexed by `Person`, without the prefix."""
    participle: str
    """With the prefix."""
    aux: str
    """The auxiliary of the perfect: haben or sein."""
    preterite: tuple[str, ...] = ()
    """Only for the few verbs that use the preterite, not the perfect, in speech."""


def _doubles(base: str) -> bool:
    """Return whether the last consonant is doubled: one syllable with a single vowel before it."""
    short = re.fullmatch("[^aeiou]*[aeiou][^aeiouwxy]", base) is not None
    return short or base in ("begin", "forget")


def english_verb(parts: str) -> EnglishVerb:
    """Return the forms of a verb given as "base" or "base, past, participle".

    A particle follows the base, after a bar if an object pronoun precedes the particle: "look for",
    "turn|on".
    """
    first, *irregular = parts.split(", ")
    movable = "|" in first
    base, _, particle = first.replace("|", " ").partition(" ")
    stem = base + base[-1] if _doubles(base) else re.sub("(?<!e)e$", "", base)
    sounds_ied = base.endswith("y") and base[-2] not in "aeiou"
    regular = base[:-1] + "ied" if sounds_ied else stem + "ed"
    past, participle = irregular or (regular, regular)
    ing = base[:-2] + "ying" if base.endswith("ie") else stem + "ing"
    third = "has" if base == "have" else _english_s(base)
    return EnglishVerb(base, third, past, participle, ing, particle, movable)


_INSEPARABLE = ("be", "emp", "er", "ver", "zer", "über")
_NEEDS_E = re.compile("(t|d|chn|ffn)$")


def german_verb(parts: str) -> GermanVerb:
    """Return the forms of a verb given as "infinitive" (weak) or with third person and participle.

    A separable prefix is marked with a bar, and "ist" before the participle selects "sein" as the
    auxiliary: "auf|stehen, steht, ist gestanden".
    """
    first, *irregular = parts.split(", ")
    prefix, _, infinitive = first.rpartition("|")
    stem = infinitive.removesuffix("n").removesuffix("e")
    plural_you = stem + ("et" if _NEEDS_E.search(stem) else "t")
    weak_participle = plural_you if _without_ge(infinitive) else "ge" + plural_you
    third, participle = irregular or (plural_you, weak_participle)
    aux, _, participle = participle.rpartition(" ")
    # After a sibilant the s of the second person is dropped: du liest, du putzt.
    second = third if third[-2] in "sßzx" else third[:-1] + "st"
    present = (stem + "e", second, third, infinitive, plural_you, infinitive)
    return GermanVerb(prefix, infinitive, present, prefix + participle, "sein" if aux else "haben")


def _without_ge(infinitive: str) -> bool:
    return infinitive.startswith(_INSEPARABLE) or infinitive.endswith("ieren")


def irregular_verb(
    infinitive: str, present: str, preterite: str = "", participle: str = ""
) -> GermanVerb:
    aux = "sein" if infinitive in ("sein", "werden") else "haben"
    return GermanVerb(
        "", infinitive, tuple(present.split()), participle, aux, tuple(preterite.split())
    )


class Aspect(Enum):
    """Which time phrases a verb allows."""

    ACTIVITY = auto()
    """May be repeated or in progress: every day, often, right now."""
    EVENT = auto()
    """Happens once: does not allow "every day"."""
    STATE = auto()
    """Has no progressive form and no point in time."""


class Verb(NamedTuple):
    """A verb pair with the kinds it selects.

    `objects` are the kinds of its object; `recipients` marks verbs that also take a person in the
    dative; `preposition` is "English German", governing `case` in German.
    """

    en: EnglishVerb
    de: GermanVerb
    objects: Kind = Kind.NONE
    case: Case = Case.ACC
    aspect: Aspect = Aspect.ACTIVITY
    subjects: Kind = Kind.PERSON | Kind.KIN
    recipients: bool = False
    shifts: bool = True
    """Whether English allows "shows him the book" as well as "shows the book to him"."""
    preposition: str = ""
    willed: bool = True
    """False for involuntary events such as losing: nobody "wants to lose"."""
    places: bool = False
    """Whether a place makes sense with it: "sings in the garden"."""


class EnglishAux(NamedTuple):
    """How English expresses a modality: an operator ("can"), a form of "be", or a full verb."""

    operator: str = ""
    verb: EnglishVerb | None = None
    tail: str = ""
    """The words between the finite word and the bare infinitive: "to", "like to"."""


class Modal(NamedTuple):
    """A German modal (or "werden") with its English equivalents."""

    de: GermanVerb
    en: EnglishAux
    en_negated: EnglishAux
    en_past: EnglishAux | None = None


class Adverb(NamedTuple):
    """An invariable phrase. An underscore joins words that are translated as one unit."""

    en: str
    de: str
