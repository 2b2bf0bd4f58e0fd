"""Draw random phrases and clauses that make sense."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeVar

from phrasebook import lexicon as lex
from phrasebook.inflection import (
    Adverb,
    Case,
    Determiner,
    Gender,
    Kind,
    Modal,
    Noun,
    Person,
    Verb,
)
from phrasebook.tree import (
    Clause,
    Name,
    Nominal,
    NounPhrase,
    Part,
    Phrase,
    PrepPhrase,
    Pronoun,
    Tense,
)

ACC, DAT = Case.ACC, Case.DAT

T = TypeVar("T")


class Dice:
    """Random choices that are the same in every Python version and process."""

    def __init__(self, seed: int) -> None:
        # Only random() is guaranteed to be stable across Python versions.
        self._random = random.Random(seed).random

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def chance(self, probability: float) -> bool:
        return self._random() < probability


# Repeating an entry makes it more likely.
SUBJECT_DETS = (lex.THE,) * 8 + lex.POSSESSIVES + (lex.THIS, lex.THESE)
_LOOSE_SUBJECT_DETS = (
    *SUBJECT_DETS,
    *(lex.A, lex.A, lex.EVERY, lex.ALL, lex.SOME, lex.MANY),
)
_OBJECT_DETS = (
    *(lex.THE,) * 12,
    *(lex.A,) * 9,
    *(lex.BARE,) * 3,
    *lex.POSSESSIVES,
    *(lex.THIS, lex.THESE) * 2,
    *(lex.SOME, lex.MANY),
    *lex.NUMERALS[:6],
)
_NEGATED_OBJECT_DETS = (
    *(lex.THE,) * 8,
    *(lex.NOT_A,) * 6,
    *(lex.NOT_ANY,) * 3,
    *lex.POSSESSIVES,
    lex.THIS,
)
THE_ONLY = (lex.THE,)
INDEFINITE_DETS = (*(lex.A,) * 6, lex.SOME, lex.MANY, *lex.NUMERALS[:6])


def noun_phrase(
    dice: Dice, kinds: Kind, dets: Sequence[Determiner], owned: bool = True
) -> NounPhrase:
    """Return a noun phrase of some kind, sometimes with an adjective or an owner."""
    return phrase_of(dice, dice.pick(lex.nouns(kinds)), dice.pick(dets), owned)


def phrase_of(dice: Dice, noun: Noun, det: Determiner, owned: bool = True) -> NounPhrase:
    """Return a noun phrase around `noun`; `det` is replaced if it does not suit the noun."""
    kin = noun.kinds is Kind.KIN
    ownable = bool(noun.kinds & lex.OWNABLE)
    if kin and det not in lex.POSSESSIVES:
        det = lex.THE if owned and dice.chance(0.3) else dice.pick(lex.POSSESSIVES)
    elif det in lex.POSSESSIVES and not ownable:
        det = lex.THE
    if not noun.countable:
        det = _UNCOUNTED.get(det, det)
    plural = dice.chance(0.05 if kin else 0.25) if det.plural is None else det.plural
    plural = plural or det in (lex.BARE, lex.NOT_ANY)
    owner = None
    if det is lex.THE and owned and ownable and (kin or dice.chance(0.15)):
        owner = _owner(dice, name_only=kin)
    suitable = lex.adjectives(noun.kinds)
    adjective = dice.pick(suitable) if suitable and dice.chance(0.25) else None
    return NounPhrase(noun, det, plural and noun.countable, adjective, owner)


# Replacements for determiners that need a countable noun.
_UNCOUNTED = {
    lex.NOT_A: lex.NOT_ANY,
    lex.THESE: lex.THIS,
    lex.EVERY: lex.THE,
    lex.ALL: lex.THE,
    **dict.fromkeys((lex.A, lex.SOME, lex.MANY, *lex.NUMERALS), lex.BARE),
}


def _owner(dice: Dice, name_only: bool) -> NounPhrase | Name:
    if name_only or dice.chance(0.5):
        return first_name(dice)
    return noun_phrase(dice, Kind.PERSON, THE_ONLY, owned=False)


def first_name(dice: Dice) -> Name:
    female = dice.chance(0.5)
    return Name(dice.pick(lex.WOMEN if female else lex.MEN), female)


def titled_name(dice: Dice) -> Name:
    return Name(dice.pick(lex.SURNAMES), dice.chance(0.5), titled=True)


def subject(dice: Dice, kinds: Kind, negated: bool = False) -> Nominal:
    """Return a subject of these kinds."""
    if kinds & lex.HUMAN:
        if dice.chance(0.35):
            return Pronoun(dice.pick(lex.PRONOUNS))
        if dice.chance(0.2):
            return titled_name(dice) if dice.chance(0.2) else first_name(dice)
    # "Every dog does not sleep" has two readings; a negated clause is about somebody definite.
    return noun_phrase(dice, kinds, SUBJECT_DETS if negated else _LOOSE_SUBJECT_DETS)


def object_(dice: Dice, kinds: Kind, who: Nominal, dets: Sequence[Determiner]) -> Nominal:
    """Return an object of these kinds in a clause with the subject `who`."""
    if kinds & lex.HUMAN:
        if dice.chance(0.3):
            pronoun = Pronoun(dice.pick(lex.PRONOUNS))
            if not _overlap(pronoun.person, who.person):
                return pronoun
        if dice.chance(0.2):
            return titled_name(dice) if dice.chance(0.3) else first_name(dice)
    return phrase_of(dice, dice.pick(lex.nouns(kinds)), _own(dice.pick(dets), who))


_THIRD_POSSESSIVES = tuple(lex.POSSESSIVE_OF[entry] for entry in (lex.HE, lex.SHE, lex.THEY))


def _own(det: Determiner, who: Nominal) -> Determiner:
    """Make a third-person possessive refer to `who`: "she looks for her key", not "their key"."""
    if det in _THIRD_POSSESSIVES and isinstance(who, (NounPhrase, Name, Pronoun)):
        return lex.POSSESSIVE_OF.get(back_reference(who).entry, lex.THE)
    return det


def _overlap(one: Person, other: Person) -> bool:
    """Return whether both include the speaker or both the listener, as in "I see us"."""
    return one % 3 == other % 3 != Person.S3


def place(dice: Dice) -> Part:
    """Return where something happens: "in the garden / im Garten"."""
    if dice.chance(0.1):
        return phrase(lex.AT_HOME)
    if dice.chance(0.15):
        english, german = dice.pick(lex.CITIES)
        return Phrase(f"in {english}", f"in {german}")
    noun_ = dice.pick(lex.nouns(lex.PLACE))
    english, german = noun_.at.split()
    return PrepPhrase(english, german, DAT, _place_name(dice, noun_))


def direction(dice: Dice, verb: Verb) -> Part:
    """Return where somebody goes: "to the station / zum Bahnhof", "home / nach Hause"."""
    driving = verb.en.base == "drive"
    if dice.chance(0.1):
        return phrase(lex.HOMEWARDS)
    if driving and dice.chance(0.3):
        english, german = dice.pick(lex.CITIES)
        return Phrase(f"to {english}", f"nach {german}")
    noun_ = dice.pick(lex.nouns(lex.BUILDING | lex.OUTDOORS if driving else lex.PLACE))
    if driving and noun_.to.startswith("into"):
        return phrase(lex.HOMEWARDS)
    english, german = noun_.to.split()
    return PrepPhrase(english, german, DAT if german == "zu" else ACC, _place_name(dice, noun_))


def _place_name(dice: Dice, noun_: Noun) -> NounPhrase:
    mine = noun_.kinds is lex.ROOM and dice.chance(0.3)
    det = dice.pick(lex.POSSESSIVES) if mine else lex.THE
    adjective = dice.pick(lex.adjectives(noun_.kinds)) if dice.chance(0.2) else None
    return NounPhrase(noun_, det, adjective=adjective)


def surface(dice: Dice, case: Case) -> PrepPhrase:
    """Return where things are (dative) or are put (accusative): "on the table / auf dem Tisch"."""
    english, german = dice.pick(lex.SURFACES)
    furniture = noun_phrase(dice, lex.FURNITURE, THE_ONLY, owned=False)
    return PrepPhrase(english, german, case, furniture)


def phrase(adverb: Adverb) -> Phrase:
    return Phrase(adverb.en, adverb.de)


def clock(dice: Dice) -> Phrase:
    """Return a time; German counts half hours to the next hour: "half past three / halb vier"."""
    hour = int(dice.pick(range(12)))
    (english, german), (next_en, next_de) = lex.NUMBERS[hour], lex.NUMBERS[(hour + 1) % 12]
    return dice.pick(
        (
            Phrase(f"{english} o'clock", f"{'ein' if hour == 0 else german} Uhr"),
            Phrase(f"half past_{english}", f"halb {next_de}"),
            Phrase(f"quarter past {english}", f"Viertel nach {german}"),
            Phrase(f"quarter to {next_en}", f"Viertel vor {next_de}"),
            Phrase(f"ten past {english}", f"zehn nach {german}"),
            Phrase(f"twenty to {next_en}", f"zwanzig vor {next_de}"),
        )
    )


def at_clock(dice: Dice) -> Phrase:
    """Return a time of day as in "at half past three / um halb vier"."""
    time = clock(dice)
    return Phrase(f"at {time.english}", f"um {time.german}")


class Setting(NamedTuple):
    """Tense, modality and time of a clause."""

    tense: Tense = Tense.PRESENT
    modal: Modal | None = None
    time: Phrase | None = None
    frequency: Phrase | None = None

    @property
    def negatable(self) -> bool:
        """Return whether "not" is unambiguous, unlike in "not every day"."""
        habitual = self.time and not self.modal and self.tense is Tense.PRESENT
        return not (habitual or self.frequency or self.tense is Tense.PROGRESSIVE)


def plain(dice: Dice) -> Setting:
    return Setting()


def _habit(dice: Dice) -> Setting:
    return Setting(time=phrase(dice.pick(lex.HABITS)) if dice.chance(0.8) else at_clock(dice))


def _often(dice: Dice) -> Setting:
    return Setting(frequency=phrase(dice.pick(lex.FREQUENCIES)))


def now(dice: Dice) -> Setting:
    return Setting(Tense.PROGRESSIVE)


def perfect(dice: Dice) -> Setting:
    time = phrase(lex.TODAY) if dice.chance(0.2) else None
    frequency = phrase(lex.ALREADY) if dice.chance(0.2) and not time else None
    return Setting(Tense.PERFECT, time=time, frequency=frequency)


def past(dice: Dice) -> Setting:
    # Without a time phrase "they read" could be present or past.
    return Setting(Tense.PAST, time=phrase(dice.pick(lex.PAST_TIMES)))


def _modal(dice: Dice) -> Setting:
    return Setting(modal=dice.pick(lex.MODALS[:-1]), time=_future_time(dice, 0.3))


def will(dice: Dice) -> Setting:
    return Setting(modal=lex.WILL, time=_future_time(dice, 0.6))


def _past_modal(dice: Dice) -> Setting:
    time = phrase(dice.pick(lex.PAST_TIMES)) if dice.chance(0.4) else None
    return Setting(Tense.PAST, dice.pick(lex.MODALS[:4]), time)


def _future_time(dice: Dice, probability: float) -> Phrase | None:
    if not dice.chance(probability):
        return None
    return at_clock(dice) if dice.chance(0.15) else phrase(dice.pick(lex.FUTURE_TIMES))


_SETTINGS = {
    lex.ACTIVITY: (
        *(_habit, _habit, _often, _often, now, perfect, perfect, past, past),
        *(will, _modal, _modal, _past_modal),
    ),
    lex.EVENT: (plain, perfect, perfect, past, past, will, _modal, _modal, _past_modal),
    lex.STATE: (plain,),
}


def setting(dice: Dice, verb: Verb) -> Setting:
    """Return a setting that suits the aspect of the verb."""
    if verb.de.preterite and dice.chance(0.3):
        # "They had" is unambiguously past without a time phrase.
        return Setting(Tense.PAST)
    drawn = dice.pick(_SETTINGS[verb.aspect])(dice)
    if drawn.modal and not verb.willed:
        return perfect(dice)
    return drawn


def clause(
    dice: Dice,
    verb: Verb | None = None,
    who: Nominal | None = None,
    what: Nominal | None = None,
    when: Setting | None = None,
    negated: bool | None = None,
) -> Clause:
    """Return a clause in which everything that is not given is random."""
    verb = verb or dice.pick(lex.VERBS)
    when = when or setting(dice, verb)
    if negated is None:
        negated = dice.chance(0.2)
    negated = negated and when.negatable
    who = who or subject(dice, verb.subjects, negated)
    dets = _NEGATED_OBJECT_DETS if negated else _OBJECT_DETS
    if verb.objects in (lex.CLOTHES, lex.GARMENT) and not negated:
        dets = _SINGLE_DETS
    if verb.objects and not what:
        what = object_(dice, verb.objects, who, DEFINITE_DETS if verb.preposition else dets)
    return Clause(
        who,
        verb,
        object=None if verb.preposition else what,
        recipient=object_(dice, lex.HUMAN, who, DEFINITE_DETS) if verb.recipients else None,
        complement=_complement(dice, verb, what),
        place=place(dice) if verb.places and not negated and dice.chance(0.3) else None,
        time=when.time,
        frequency=when.frequency,
        manner=None if negated or when.frequency else manner(dice, verb),
        tense=when.tense,
        modal=when.modal,
        negated=negated,
    )


def _complement(dice: Dice, verb: Verb, what: Nominal | None) -> Part | None:
    """Return the complement of the verb that is no object: a direction or a prepositional one."""
    if verb in lex.PUTTING:
        return surface(dice, ACC)
    if verb in lex.MOTION:
        return direction(dice, verb)
    if verb.preposition and what:
        english, german = verb.preposition.split()
        return PrepPhrase(english, german, verb.case, what)
    return None


DEFINITE_DETS = (lex.THE,) * 12 + lex.POSSESSIVES + (lex.THIS,)
# For clothes: nobody wears four coats.
_SINGLE_DETS = DEFINITE_DETS + (lex.A,) * 5


def manner(dice: Dice, verb: Verb) -> Phrase | None:
    """Return an adverb of manner, if one suits the verb: "slowly / langsam"."""
    suitable = _manners(verb.en.base)
    return phrase(dice.pick(suitable)) if suitable and dice.chance(0.2) else None


@cache
def _manners(base: str) -> tuple[Adverb, ...]:
    return tuple(adverb for adverb, bases in lex.MANNERS if base in bases)


def referable(dice: Dice) -> Nominal:
    """Return a person to whom a pronoun can refer later."""
    who = subject(dice, lex.HUMAN, negated=True)
    # "the child ... it" is grammatical and sounds wrong in English.
    if isinstance(who, NounPhrase):
        return first_name(dice) if who.gender is Gender.N else replace(who, adjective=None)
    return who


_THING_PRONOUNS = {Gender.M: lex.IT_M, Gender.F: lex.IT_F, Gender.N: lex.IT_N}


def back_reference(nominal: Nominal) -> Pronoun:
    """Return the pronoun for a nominal: he for a man; er, sie or es for a thing by its gender."""
    if isinstance(nominal, Pronoun):
        return Pronoun(nominal.entry)
    if isinstance(nominal, Name):
        return Pronoun(lex.SHE if nominal.female else lex.HE)
    assert isinstance(nominal, NounPhrase)
    if nominal.plural:
        return Pronoun(lex.THEY)
    if nominal.noun.kinds & lex.HUMAN:
        return Pronoun(lex.SHE if nominal.gender is Gender.F else lex.HE)
    return Pronoun(_THING_PRONOUNS[nominal.gender])
