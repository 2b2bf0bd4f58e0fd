"""The trees of the phrasebook, and how they are spelled out in English and German.

    Clause(subject=..., verb=OPEN, object=..., tense=Tense.PERFECT, time=TODAY)
        .en()           -> "the teacher has opened the door today"
        .de(Order.V2)   -> "der Lehrer hat die Tür heute aufgemacht"

Every word records the part of the tree it comes from, which gives the true word alignment: two
words are aligned if they come from the same part.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from phrasebook import lexicon as lex
from phrasebook.inflection import (
    Adjective,
    Case,
    Determiner,
    EnglishVerb,
    Gender,
    Modal,
    Noun,
    Person,
    PronounEntry,
    Verb,
    relative_pronoun,
)

NOM, ACC, DAT, GEN = Case.NOM, Case.ACC, Case.DAT, Case.GEN


class Word(NamedTuple):
    """A written word and the parts of the tree it comes from. Punctuation is a word too."""

    text: str
    keys: tuple[Hashable, ...] = ()


Words = list[Word]

# Nodes are compared by identity (eq=False), because each is one position in one sentence. A key is
# a node, or a pair of a node and the name of one of its parts.


class Part(Protocol):
    """Anything that can be spelled out in both languages."""

    def en(self, case: Case) -> Words: ...

    def de(self, case: Case) -> Words: ...


class Nominal(Part, Protocol):
    """A part that can be a subject or an object."""

    @property
    def person(self) -> Person: ...

    @property
    def light(self) -> bool:
        """Return whether it is a pronoun, which German puts before everything else."""

    @property
    def definite(self) -> bool: ...

    @property
    def kein(self) -> bool:
        """Return whether its determiner expresses the negation of the clause."""


class _Definite:
    """Defaults that most nominals share."""

    person: Person = Person.S3
    light = False
    definite = True
    kein = False


@dataclass(frozen=True, eq=False)
class Phrase:
    """Fixed words: "every day / jeden Tag".

    An underscore joins words into a unit. If both sides have equally many units, these are aligned
    one by one.
    """

    english: str
    german: str

    def en(self, case: Case = NOM) -> Words:
        return self._spell(self.english)

    def de(self, case: Case = NOM) -> Words:
        return self._spell(self.german)

    def _spell(self, text: str) -> Words:
        one_by_one = self.english.count(" ") == self.german.count(" ")
        return [
            Word(word, ((self, i if one_by_one else 0),))
            for i, unit in enumerate(text.split())
            for word in unit.split("_")
        ]


@dataclass(frozen=True, eq=False)
class _GermanOnly:
    """A word of the German middle field that English puts elsewhere: "gerade", "nicht"."""

    word: Word

    def en(self, case: Case) -> Words:
        return []

    def de(self, case: Case) -> Words:
        return [self.word]


@dataclass(frozen=True, eq=False)
class Pronoun(_Definite):
    """A personal pronoun: "him / ihn"."""

    entry: PronounEntry
    light = True

    @property
    def person(self) -> Person:  # type: ignore[override]
        return self.entry.person

    def en(self, case: Case) -> Words:
        return [Word(self.entry.en[case is not NOM], (self,))]

    def de(self, case: Case) -> Words:
        return [Word(self.entry.de[case], (self,))]


@dataclass(frozen=True, eq=False)
class Name(_Definite):
    """A first name, or a surname with its title: "Mr. Weber / Herr Weber"."""

    name: str
    female: bool
    titled: bool = False

    def en(self, case: Case = NOM) -> Words:
        title = [Word("Mrs." if self.female else "Mr.", ((self, "title"),))]
        return [*(title if self.titled else []), Word(self.name, (self,))]

    def de(self, case: Case = NOM) -> Words:
        # "Herr" is a weak masculine noun.
        text = "Frau" if self.female else "Herr" if case is NOM else "Herrn"
        name = self.name + "s" if case is GEN else self.name
        title = [Word(text, ((self, "title"),))]
        return [*(title if self.titled else []), Word(name, (self,))]


@dataclass(frozen=True, eq=False)
class Interrogative(_Definite):
    """An interrogative, "who" or "what", as subject or object."""

    animate: bool
    light = True

    def en(self, case: Case) -> Words:
        return [Word("who" if self.animate else "what", (self,))]

    def de(self, case: Case) -> Words:
        return [Word(("wer", "wen", "wem")[case] if self.animate else "was", (self,))]


@dataclass(frozen=True, eq=False)
class RelativePronoun(_Definite):
    """The pronoun that opens a relative clause: "the man who / der Mann, der"."""

    animate: bool
    gender: Gender
    light = True

    @property
    def person(self) -> Person:  # type: ignore[override]
        return Person.P3 if self.gender is Gender.PL else Person.S3

    def en(self, case: Case) -> Words:
        return [Word("who" if self.animate else "that", (self,))]

    def de(self, case: Case) -> Words:
        return [Word(relative_pronoun(case, self.gender), (self,))]


@dataclass(frozen=True, eq=False)
class NounPhrase:
    """A noun with its article, adjective, owner and relative clause.

    "my old friend's new car / das neue Auto meines alten Freundes"
    """

    noun: Noun
    det: Determiner
    plural: bool = False
    adjective: Adjective | None = None
    owner: "NounPhrase | Name | None" = None
    relative: "Relative | None" = None
    light = False

    @property
    def person(self) -> Person:
        return Person.P3 if self.plural else Person.S3

    @property
    def definite(self) -> bool:
        return self.det.definite

    @property
    def kein(self) -> bool:
        return self.det in (lex.NOT_A, lex.NOT_ANY)

    @property
    def gender(self) -> Gender:
        return Gender.PL if self.plural else self.noun.gender

    def en(self, case: Case) -> Words:
        if self.owner:
            *words, last = self.owner.en(NOM)
            plural_s = isinstance(self.owner, NounPhrase) and last.text.endswith("s")
            words.append(Word(last.text + ("'" if plural_s else "'s"), last.keys))
        else:
            words = [Word(text, ((self, "det"),)) for text in self.det.en.split()]
        if self.adjective:
            words.append(Word(self.adjective.en, ((self, "adjective"),)))
        words.append(Word(self.noun.en_form(self.plural), (self,)))
        return words + (self.relative.en() if self.relative else [])

    def de(self, case: Case) -> Words:
        gender, det = self.gender, self.det
        if isinstance(self.owner, Name):
            # A name in the genitive replaces the article: "Annas neues Auto".
            det, words = lex.BARE, self.owner.de(GEN)
        else:
            form = det.form(case, gender)
            words = [Word(text, ((self, "det"),)) for text in form.split()]
        if self.adjective:
            text = self.adjective.form(det.paradigm, case, gender)
            words.append(Word(text, ((self, "adjective"),)))
        words.append(Word(self.noun.de_form(case, self.plural), (self,)))
        if isinstance(self.owner, NounPhrase):
            words += self.owner.de(GEN)
        return words + (self.relative.de() if self.relative else [])


_CONTRACTIONS = {
    ("an", "dem"): "am",
    ("an", "das"): "ans",
    ("bei", "dem"): "beim",
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}


@dataclass(frozen=True, eq=False)
class PrepPhrase:
    """A preposition with its nominal: "to the station / zum Bahnhof"."""

    english: str
    german: str
    governs: Case
    nominal: Nominal

    def en(self, case: Case = NOM) -> Words:
        own = [Word(text, ((self, "prep"),)) for text in self.english.split()]
        return own + self.nominal.en(ACC)

    def de(self, case: Case = NOM) -> Words:
        own = Word(self.german, ((self, "prep"),))
        first, *rest = self.nominal.de(self.governs)
        article = isinstance(self.nominal, NounPhrase) and self.nominal.det is lex.THE
        short = _CONTRACTIONS.get((self.german, first.text)) if article else None
        if short:
            return [Word(short, own.keys + first.keys), *rest]
        return [own, first, *rest]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparison: "older than the cat / älter als die Katze"."""

    adjective: Adjective
    than: Nominal

    def en(self, case: Case = NOM) -> Words:
        adjective = self.adjective.comparative[0].split()
        return [
            *(Word(text, (self,)) for text in adjective),
            Word("than", ((self, "than"),)),
            *self.than.en(NOM),
        ]

    def de(self, case: Case = NOM) -> Words:
        own = [Word(self.adjective.comparative[1], (self,)), Word("als", ((self, "than"),))]
        return own + self.than.de(NOM)


class Tense(Enum):
    """English tenses. German uses the perfect for both past tenses, except for a few verbs."""

    PRESENT = auto()
    PROGRESSIVE = auto()
    PERFECT = auto()
    PAST = auto()


class Order(Enum):
    """The position of the finite verb in German."""

    V1 = auto()
    """First: yes/no questions, and after a fronted subordinate clause."""
    V2 = auto()
    """Second, after one fronted part: main clauses."""
    FINAL = auto()
    """Last: subordinate clauses."""


@dataclass(frozen=True, eq=False)
class Clause:
    """A verb with everything that depends on it.

    `object` is in the case that the verb governs, `recipient` in the dative. `complement` belongs
    to the verb (a predicate, a direction, a prepositional object); `place` and `time` are adjuncts.
    """

    subject: Nominal
    verb: Verb
    object: Nominal | None = None
    recipient: Nominal | None = None
    complement: Part | None = None
    place: Part | None = None
    time: Part | None = None
    frequency: Part | None = None
    manner: Part | None = None
    tense: Tense = Tense.PRESENT
    modal: Modal | None = None
    negated: bool = False

    # English

    def en(self, front: Part | None = None, inverted: bool = False) -> Words:
        """Return the English clause, beginning with `front`; `inverted` puts the operator first."""
        operator, rest = self._english_verb(inverted)
        negation = self._english_not()
        subject = [] if front is self.subject else self.subject.en(NOM)
        words = front.en(ACC if front is not self.subject else NOM) if front else []
        words += operator + subject + negation if inverted else subject + operator + negation
        return words + self._english_tail(rest, front)

    def existential_en(self) -> Words:
        """Return a clause with "be" in the form "there is a dog in the garden"."""
        verb, _ = self._english_verb(inverted=False)
        return [Word("there"), *verb, *self.subject.en(NOM), *self._english_tail([], None)]

    def infinitive_en(self) -> Words:
        """Return the infinitive clause: "to open the door"."""
        to = Word("to", ((self, "to"),))
        return [to, *self._english_tail(self._verb_word(self.verb.en.base), None)]

    def _english_tail(self, verb: Words, front: Part | None) -> Words:
        """Return everything from the adverb before the verb to the end of the clause."""
        words: Words = []
        if self.frequency and self.frequency is not front and not self._is_yet:
            words += self.frequency.en(NOM)
        words += verb
        for part in self._english_objects():
            if part is not front:
                words += part.en(ACC)
        if self._particle_moves:
            words.append(Word(self.verb.en.particle, ((self, "verb"),)))
        for adjunct in (self.manner, self.complement, self.place, self.time):
            if adjunct and adjunct is not front:
                words += adjunct.en(ACC)
        return words + (self.frequency.en(NOM) if self.frequency and self._is_yet else [])

    @property
    def _is_yet(self) -> bool:
        """Return whether the adverb is "yet", the only one used with "not"; it comes last."""
        return self.negated and self.frequency is not None

    def _english_objects(self) -> list[Part]:
        if not self.recipient:
            return [self.object] if self.object else []
        if not self.object:
            return [self.recipient]
        if self.verb.shifts and not self.object.light:
            return [self.recipient, self.object]
        return [self.object, PrepPhrase("to", "", DAT, self.recipient)]

    @property
    def _particle_moves(self) -> bool:
        """Return whether the particle follows the object: "turns it on"."""
        return self.verb.en.movable and self.object is not None and self.object.light

    def _verb_word(self, text: str, *more: Hashable) -> Words:
        """Return a form of the verb with its particle."""
        particle = "" if self._particle_moves else self.verb.en.particle
        key = (self, "verb")
        return [Word(text, (key, *more)), *([Word(particle, (key,))] if particle else [])]

    def _english_verb(self, inverted: bool) -> tuple[Words, Words]:
        """Return the operator, which moves in questions and takes "not", and the other words."""
        verb = self.verb.en
        if self.modal:
            return self._english_modal(self.modal, inverted)
        aux = ((self, "aux"),)
        if self.tense is Tense.PERFECT:
            have = "has" if self.subject.person is Person.S3 else "have"
            return [Word(have, aux)], self._verb_word(verb.participle)
        if self.tense is Tense.PROGRESSIVE:
            be = lex.BE_PRESENT[self.subject.person]
            return [Word(be, aux)], self._verb_word(verb.ing)
        past = self.tense is Tense.PAST
        if self.verb is lex.BE:
            forms = lex.BE_PAST if past else lex.BE_PRESENT
            return self._verb_word(forms[self.subject.person]), []
        if inverted or self.negated:
            return [self._do(past)], self._verb_word(verb.base)
        # The German auxiliary of the perfect is aligned with the English past form too.
        return [], self._verb_word(self._finite(verb, past), *(aux if past else ()))

    def _english_modal(self, modal: Modal, inverted: bool) -> tuple[Words, Words]:
        """Return operator and rest: "can read", "does not want to read", "was allowed to read"."""
        past = self.tense is Tense.PAST
        aux = modal.en_negated if self.negated else modal.en
        if past and modal.en_past:
            aux = modal.en_past
        key = ((self, "modal"),)
        tail = [Word(text, key) for text in aux.tail.split()]
        rest = tail + self._verb_word(self.verb.en.base)
        if aux.verb and (inverted or self.negated):
            return [self._do(past)], [Word(aux.verb.base, key), *rest]
        if aux.verb:
            return [], [Word(self._finite(aux.verb, past), key), *rest]
        text = lex.BE_PAST[self.subject.person] if aux.operator == "be" else aux.operator
        return [Word(text, key)], rest

    def _do(self, past: bool) -> Word:
        third = self.subject.person is Person.S3
        return Word("did" if past else "does" if third else "do", ((self, "aux"),))

    def _finite(self, verb: EnglishVerb, past: bool) -> str:
        if past:
            return verb.past
        return verb.third if self.subject.person is Person.S3 else verb.base

    def _english_not(self) -> Words:
        """Return "not", with the key of "nicht" and, if there is one, of the article "kein"."""
        if not self.negated:
            return []
        negation = (self, "not")
        keys = (negation, (self.object, "det")) if self._kein else (negation,)
        return [Word("not", keys)]

    @property
    def _kein(self) -> bool:
        return self.object is not None and self.object.kein

    # German

    def de(self, order: Order, front: Part | None = None) -> Words:
        """Return the German clause; a main clause begins with `front`, by default the subject."""
        if order is Order.V2 and front is None:
            front = self.subject
        finite, nonfinite = self._german_verb()
        words: Words = []
        middle: Words = []
        for part, case in self._german_fields():
            if part is front:
                words = part.de(case)
            else:
                middle += part.de(case)
        prefix = self.verb.de.prefix if nonfinite is None else ""
        if order is Order.FINAL:
            verb = [nonfinite] if nonfinite else []
            return [*words, *middle, *verb, Word(prefix + finite.text, finite.keys)]
        bracket = nonfinite or (Word(prefix, ((self, "verb"),)) if prefix else None)
        return [*words, finite, *middle, *([bracket] if bracket else [])]

    def infinitive_de(self) -> Words:
        """Return the infinitive clause, with "zu" after the prefix: "die Tür aufzumachen"."""
        fields = [pair for pair in self._german_fields() if pair[0] is not self.subject]
        words = [word for part, case in fields for word in part.de(case)]
        verb, to, key = self.verb.de, (self, "to"), (self, "verb")
        if verb.prefix:
            return [*words, Word(f"{verb.prefix}zu{verb.infinitive}", (to, key))]
        return [*words, Word("zu", (to,)), Word(verb.infinitive, (key,))]

    def _german_verb(self) -> tuple[Word, Word | None]:
        """Return the finite verb and, if there is one, the infinitive or participle at the end."""
        person, verb = self.subject.person, self.verb.de
        past = self.tense is Tense.PAST
        key = ((self, "verb"),)
        if self.modal:
            forms = self.modal.de.preterite if past else self.modal.de.present
            infinitive = Word(verb.prefix + verb.infinitive, key)
            return Word(forms[person], ((self, "modal"),)), infinitive
        if self.tense is Tense.PERFECT or (past and not verb.preterite):
            aux = (lex.BE if verb.aux == "sein" else lex.HAVE).de.present[person]
            return Word(aux, ((self, "aux"),)), Word(verb.participle, key)
        return Word((verb.preterite if past else verb.present)[person], key), None

    def _german_fields(self) -> list[tuple[Part, Case]]:
        """Return everything except the verb, in the order of the middle field.

        The order is subject, pronouns, first definite object, time, second definite object,
        adverbs, "nicht", place, indefinite objects, complement: "Der Mann hat dem Kind gestern im
        Park einen Ball gegeben".
        """
        light: list[tuple[Part, Case]] = []
        definite: list[tuple[Part, Case]] = []
        indefinite: list[tuple[Part, Case]] = []
        for nominal, case in ((self.recipient, DAT), (self.object, self.verb.case)):
            if nominal:
                group = light if nominal.light else definite if nominal.definite else indefinite
                group.append((nominal, case))
        # Of two pronouns the accusative comes first: "gibt es ihm".
        fields = [(self.subject, NOM), *reversed(light)]
        fields += [(part, NOM) for part in self._gerade()] + definite[:1]
        fields += [(part, NOM) for part in (self.time,) if part] + definite[1:]
        adverbs = (self.frequency, *self._nicht(), self.manner, self.place)
        fields += [(part, NOM) for part in adverbs if part] + indefinite
        return fields + ([(self.complement, NOM)] if self.complement else [])

    def _gerade(self) -> list[Part]:
        """Return "gerade" for the progressive, which German lacks: "is reading / liest gerade"."""
        if self.tense is not Tense.PROGRESSIVE:
            return []
        return [_GermanOnly(Word("gerade", ((self, "aux"),)))]

    def _nicht(self) -> list[Part]:
        if not self.negated or self._kein:
            return []
        return [_GermanOnly(Word("nicht", ((self, "not"),)))]


COMMA = Word(",")


@dataclass(frozen=True, eq=False)
class Relative:
    """A relative clause; `pronoun` is the subject or the object of `clause`."""

    clause: Clause
    pronoun: RelativePronoun

    def en(self) -> Words:
        return self.clause.en(front=self.pronoun)

    def de(self) -> Words:
        return [COMMA, *self.clause.de(Order.FINAL, front=self.pronoun), COMMA]
