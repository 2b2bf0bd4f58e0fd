"""The constructions of the phrasebook.

Each public function draws one kind of line; its docstring is an example.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from phrasebook import lexicon as lex
from phrasebook.drawing import (
    DEFINITE_DETS,
    INDEFINITE_DETS,
    SUBJECT_DETS,
    THE_ONLY,
    Dice,
    Setting,
    at_clock,
    back_reference,
    clause,
    clock,
    first_name,
    noun_phrase,
    now,
    past,
    perfect,
    phrase,
    phrase_of,
    place,
    plain,
    referable,
    subject,
    surface,
    titled_name,
    will,
)
from phrasebook.inflection import Adjective, Adverb, Kind, Noun, Person, PronounEntry, Verb
from phrasebook.lines import Line, line
from phrasebook.tree import (
    COMMA,
    DAT,
    Clause,
    Comparison,
    Interrogative,
    Name,
    Nominal,
    NounPhrase,
    Order,
    Part,
    Phrase,
    Pronoun,
    Relative,
    RelativePronoun,
    Tense,
)


def statement(dice: Dice) -> Line:
    """The boy opens the door. / Der Junge macht die Tür auf."""
    drawn = clause(dice)
    return line(".", drawn.en(), drawn.de(Order.V2))


def fronted_time(dice: Dice) -> Line:
    """Tomorrow the boy will come back. / Morgen wird der Junge zurückkommen."""
    drawn = clause(dice)
    while not (front := drawn.time or drawn.place):
        drawn = clause(dice)
    return line(".", drawn.en(front), drawn.de(Order.V2, front))


def fronted_object(dice: Dice) -> Line:
    """This letter the boy has already read. / Diesen Brief hat der Junge schon gelesen."""
    verb = dice.pick(_HANDLING)
    what = noun_phrase(dice, verb.objects, (lex.THIS, lex.THESE))
    negated = dice.chance(0.5)
    frequency = phrase(lex.YET if negated else lex.ALREADY)
    who = subject(dice, verb.subjects, negated=True)
    drawn = Clause(who, verb, what, frequency=frequency, tense=Tense.PERFECT, negated=negated)
    return line(".", drawn.en(what), drawn.de(Order.V2, what))


def yes_no_question(dice: Dice) -> Line:
    """Does the boy open the door? / Macht der Junge die Tür auf?"""
    drawn = clause(dice, negated=False)
    while drawn.modal is lex.MAY and drawn.subject.person is Person.S2:
        # "May you ...?" would express a wish.
        drawn = clause(dice, negated=False)
    return line("?", drawn.en(inverted=True), drawn.de(Order.V1))


def who_question(dice: Dice) -> Line:
    """Who opens the door? / Wer macht die Tür auf?"""
    verb = dice.pick(_HUMAN_VERBS)
    drawn = clause(dice, verb, Interrogative(animate=True), negated=False)
    return line("?", drawn.en(), drawn.de(Order.V2))


def object_question(dice: Dice) -> Line:
    """What does the boy read? / Was liest der Junge? Which book ...? / Welches Buch ...?"""
    verb = dice.pick(_ASKABLE)
    countable = _countable(verb.objects)
    asked: Nominal
    if countable and dice.chance(0.6):
        asked = phrase_of(dice, dice.pick(countable), dice.pick(_ASKING_DETS))
    else:
        asked = Interrogative(animate=bool(verb.objects & lex.BEING))
    drawn = clause(dice, verb, what=asked, negated=False)
    return line("?", drawn.en(asked, inverted=True), drawn.de(Order.V2, asked))


_ASKING_DETS = (lex.WHICH, lex.HOW_MANY)


@cache
def _countable(kinds: Kind) -> tuple[Noun, ...]:
    """Return nouns for "which" and "how many" questions; nobody asks how many mothers."""
    return tuple(noun for noun in lex.nouns(kinds & ~lex.KIN) if noun.countable)


def adverb_question(dice: Dice) -> Line:
    """Where does the boy work? / Wo arbeitet der Junge?"""
    asked = phrase(dice.pick(_QUESTION_ADVERBS))
    verb = dice.pick(_PLACEABLE if asked.english == "where" else _TIMED)
    who = subject(dice, verb.subjects, negated=True)
    drawn = clause(dice, verb, who, negated=asked.english == "why" and dice.chance(0.4))
    if asked.english != "where":
        # "When has he read it?" is not English.
        tense = Tense.PAST if drawn.tense is Tense.PERFECT else drawn.tense
        drawn = replace(drawn, time=asked, tense=tense, frequency=None)
    elif verb in lex.MOTION:
        asked = Phrase("where", "wohin")
        drawn = replace(drawn, complement=asked, frequency=None)
    else:
        drawn = replace(drawn, place=asked, frequency=None)
    return line("?", drawn.en(asked, inverted=True), drawn.de(Order.V2, asked))


_QUESTION_ADVERBS = tuple(
    Adverb(*pair) for pair in (("where", "wo"), ("when", "wann"), ("why", "warum"))
)


def _is(
    who: Nominal,
    predicate: Part,
    *,
    tense: Tense = Tense.PRESENT,
    negated: bool = False,
    frequency: Part | None = None,
) -> Clause:
    return Clause(
        who, lex.BE, complement=predicate, tense=tense, negated=negated, frequency=frequency
    )


def _described(dice: Dice, who: Nominal, kinds: Kind, negated: bool = False) -> Clause:
    """Return a clause such as "the house is not old / das Haus ist nicht alt"."""
    adjective = dice.pick(lex.adjectives(kinds))
    tense = Tense.PAST if dice.chance(0.25) else Tense.PRESENT
    return _is(who, Phrase(adjective.en, adjective.de), tense=tense, negated=negated)


def description(dice: Dice) -> Line:
    """The house is not old. / Das Haus ist nicht alt."""
    who = _describable(dice)
    drawn = _described(dice, who, who.noun.kinds, dice.chance(0.25))
    if dice.chance(0.3):
        drawn = replace(drawn, negated=False)
        return line("?", drawn.en(inverted=True), drawn.de(Order.V1))
    return line(".", drawn.en(), drawn.de(Order.V2))


def _describable(dice: Dice) -> NounPhrase:
    """Return a noun phrase without an adjective, for a predicate that is one."""
    noun_ = dice.pick(_DESCRIBED_NOUNS)
    return replace(phrase_of(dice, noun_, dice.pick(SUBJECT_DETS)), adjective=None)


def comparison(dice: Dice) -> Line:
    """My dog is older than your cat. / Mein Hund ist älter als deine Katze."""
    noun_ = dice.pick(_COMPARED_NOUNS)
    adjective = dice.pick(_comparable(noun_.kinds))
    others = lex.nouns(noun_.kinds & adjective.kinds)
    other = dice.pick(others)
    while other is noun_ and len(others) > 1:
        other = dice.pick(others)
    who, than = (
        replace(phrase_of(dice, each, dice.pick(DEFINITE_DETS)), adjective=None)
        for each in (noun_, other)
    )
    drawn = _is(who, Comparison(adjective, than))
    if dice.chance(0.2):
        return line("?", drawn.en(inverted=True), drawn.de(Order.V1))
    return line(".", drawn.en(), drawn.de(Order.V2))


@cache
def _comparable(kinds: Kind) -> tuple[Adjective, ...]:
    return tuple(adjective for adjective in lex.adjectives(kinds) if adjective.comparative[0])


_DESCRIBED_NOUNS = tuple(noun for noun in lex.NOUNS if lex.adjectives(noun.kinds))
_COMPARED_NOUNS = tuple(noun for noun in lex.NOUNS if _comparable(noun.kinds))


def profession(dice: Dice) -> Line:
    """Anna is a doctor. / Anna ist Ärztin."""
    who: Nominal = first_name(dice)
    if dice.chance(0.6):
        kin = phrase_of(dice, dice.pick(lex.nouns(Kind.KIN)), dice.pick(lex.POSSESSIVES))
        who = replace(kin, plural=False, adjective=None)
    elif dice.chance(0.3):
        who = Pronoun(dice.pick((lex.HE, lex.SHE)))
    female = back_reference(who).entry is lex.SHE
    trade = dice.pick(lex.PROFESSIONS)
    predicate = Phrase(f"a_{trade.en}", trade.de_female if female else trade.de_male)
    tense = Tense.PAST if dice.chance(0.3) else Tense.PRESENT
    drawn = _is(who, predicate, tense=tense)
    if dice.chance(0.3):
        return line("?", drawn.en(inverted=True), drawn.de(Order.V1))
    return line(".", drawn.en(), drawn.de(Order.V2))


def location(dice: Dice) -> Line:
    """Where is my key? / Wo ist mein Schlüssel? The key is under the bed. / ... unter dem Bett."""
    thing = noun_phrase(dice, lex.PORTABLE, SUBJECT_DETS)
    if dice.chance(0.3):
        asked = Phrase("where", "wo")
        drawn = _is(thing, asked)
        return line("?", drawn.en(asked, inverted=True), drawn.de(Order.V2, asked))
    tense = Tense.PAST if dice.chance(0.3) else Tense.PRESENT
    drawn = _is(thing, surface(dice, DAT), tense=tense, negated=dice.chance(0.3))
    return line(".", drawn.en(), drawn.de(Order.V2))


def existence(dice: Dice) -> Line:
    """There is a dog in the garden. / Im Garten ist ein Hund."""
    if dice.chance(0.5):
        what = noun_phrase(dice, lex.PORTABLE, INDEFINITE_DETS)
        where: Part = surface(dice, DAT)
    else:
        what, where = noun_phrase(dice, Kind.PERSON, INDEFINITE_DETS), place(dice)
    drawn = _is(what, where, tense=Tense.PAST if dice.chance(0.3) else Tense.PRESENT)
    return line(".", drawn.existential_en(), drawn.de(Order.V2, where))


def time_of_day(dice: Dice) -> Line:
    """It is already half past three. / Es ist schon halb vier."""
    already = phrase(lex.ALREADY) if dice.chance(0.4) else None
    tense = Tense.PAST if dice.chance(0.3) else Tense.PRESENT
    drawn = _is(Pronoun(lex.IT_N), clock(dice), tense=tense, frequency=already)
    if dice.chance(0.2):
        return line("?", drawn.en(inverted=True), drawn.de(Order.V1))
    return line(".", drawn.en(), drawn.de(Order.V2))


def timetable(dice: Dice) -> Line:
    """The train leaves at quarter past ten. / Der Zug fährt um Viertel nach zehn ab."""
    verb = dice.pick((lex.BEGIN, lex.LEAVE, lex.ARRIVE))
    who = noun_phrase(dice, verb.subjects, _SCHEDULED_DETS, owned=False)
    drawn = Clause(who, verb, time=at_clock(dice))
    match dice.pick(range(4)):
        case 0:
            asked = Phrase("when", "wann")
            drawn = replace(drawn, time=asked)
            return line("?", drawn.en(asked, inverted=True), drawn.de(Order.V2, asked))
        case 1:
            drawn = replace(drawn, modal=dice.pick((lex.WILL, lex.MUST, lex.SHOULD)))
        case 2:
            drawn = replace(drawn, tense=Tense.PERFECT, time=None, frequency=phrase(lex.ALREADY))
    return line(".", drawn.en(), drawn.de(Order.V2))


_SCHEDULED_DETS = (lex.THE, lex.THE, lex.THIS)


def price(dice: Dice) -> Line:
    """This coat costs eight euros. / Dieser Mantel kostet acht Euro."""
    thing = noun_phrase(dice, lex.COST.subjects, (lex.THE, lex.THE, lex.THIS, lex.THESE))
    english, german = dice.pick(lex.NUMBERS[1:])
    amount = Phrase(f"{english} euros", f"{german} Euro")
    drawn = Clause(thing, lex.COST, complement=amount)
    return line(".", drawn.en(), drawn.de(Order.V2))


def age(dice: Dice) -> Line:
    """My son is nine years old. / Mein Sohn ist neun Jahre alt."""
    who = phrase_of(dice, dice.pick(_YOUNG), dice.pick(SUBJECT_DETS))
    english, german = dice.pick(lex.NUMBERS[1:])
    drawn = _is(replace(who, adjective=None), Phrase(f"{english} years old", f"{german} Jahre alt"))
    return line(".", drawn.en(), drawn.de(Order.V2))


_YOUNG = tuple(
    noun
    for noun in lex.NOUNS
    if noun.en in ("son", "daughter", "brother", "sister", "child", "boy", "girl", "dog", "cat")
)

# ---------------------------------------------------------------- conjunctions


def _joined(main: Clause, conjunction: tuple[str, str], sub: Clause) -> Line:
    """Return a line with the main clause first: "he sleeps because he is tired"."""
    linked = Phrase(*conjunction)
    return line(
        ".",
        [*main.en(), *linked.en(), *sub.en()],
        [*main.de(Order.V2), COMMA, *linked.de(), *sub.de(Order.FINAL)],
    )


def _fronted(conjunction: tuple[str, str], sub: Phrase | Clause, main: Clause) -> Line:
    """Return a line with the subordinate clause first; the German main clause is then V1."""
    linked = Phrase(*conjunction)
    sub_en = sub.en()
    sub_de = sub.de(Order.FINAL) if isinstance(sub, Clause) else sub.de()
    return line(
        ".",
        [*linked.en(), *sub_en, COMMA, *main.en()],
        [*linked.de(), *sub_de, COMMA, *main.de(Order.V1)],
    )


def _mood(who: Nominal, mood: Adverb, past: bool = False) -> Clause:
    return _is(who, phrase(mood), tense=Tense.PAST if past else Tense.PRESENT)


_MOODS = tuple(mood for mood, _ in lex.MOTIVES)


def reason(dice: Dice) -> Line:
    """The boy is crying because he is sad. / Der Junge weint gerade, weil er traurig ist."""
    who = referable(dice)
    again = back_reference(who)
    if dice.chance(0.6):
        because = dice.chance(0.7)
        mood, verbs = dice.pick(lex.MOTIVES if because else lex.OBSTACLES)
        main = clause(dice, dice.pick(_by_base(verbs)), who, negated=False)
        sub = _mood(again, mood, past=main.tense is Tense.PAST)
        return _joined(main, _BECAUSE if because else _ALTHOUGH, sub)
    main = clause(dice, dice.pick(_by_base(_ERRANDS)), who)
    when = Setting(
        Tense.PAST if main.tense is Tense.PAST else Tense.PRESENT,
        dice.pick((lex.WANT, lex.MUST)),
    )
    sub = clause(dice, dice.pick(_PURPOSES), again, when=when, negated=False)
    return _joined(main, _BECAUSE, sub)


_ERRANDS = ("get", "wake", "go", "drive", "come", "run", "call", "ask")


@cache
def _by_base(bases: tuple[str, ...]) -> tuple[Verb, ...]:
    return tuple(verb for verb in _HUMAN_VERBS if verb.en.base in bases)


_BECAUSE, _ALTHOUGH = ("because", "weil"), ("although", "obwohl")
_IF, _THAT, _WHETHER = ("if", "wenn"), ("that", "dass"), ("whether", "ob")
_BEFORE, _WHILE = ("before", "bevor"), ("while", "während")


def condition(dice: Dice) -> Line:
    """If it rains, we will work at home. / Wenn es regnet, werden wir zu Hause arbeiten."""
    modal = dice.pick((lex.WILL, lex.CAN, lex.MUST, lex.MAY, lex.WANT))
    who = referable(dice)
    if dice.chance(0.4):
        main = clause(dice, dice.pick(_WILLED_VERBS), who, when=Setting(modal=modal))
        return _fronted(_IF, phrase(dice.pick(lex.WEATHER)), main)
    again = back_reference(who)
    main = clause(dice, dice.pick(_WILLED_VERBS), again, when=Setting(modal=modal))
    return _fronted(_IF, _mood(who, dice.pick(_MOODS)), main)


def sequence(dice: Dice) -> Line:
    """Anna drinks tea before she goes home. / Anna trinkt Tee, bevor sie nach Hause geht."""
    who = referable(dice)
    main = clause(dice, dice.pick(_by_base(_DAILY)), who, when=Setting(), negated=False)
    other = back_reference(who) if (before := dice.chance(0.5)) else referable(dice)
    sub = clause(dice, dice.pick(_by_base(_DAILY)), other, when=Setting(), negated=False)
    if before:
        return _joined(main, _BEFORE, sub)
    return _fronted(_WHILE, sub, main)


_DAILY = (
    *("sleep", "work", "sing", "dance", "eat", "cook", "drink", "bake", "wash", "clean", "tidy"),
    *("call", "read", "write", "feed", "help", "watch", "swim", "repair", "play", "go", "drive"),
    *("listen", "speak", "wait", "visit", "paint", "open", "close"),
)


def report(dice: Dice) -> Line:
    """I know that she has called the doctor. / Ich weiß, dass sie den Arzt angerufen hat."""
    verb = dice.pick((lex.KNOW_THAT, lex.BELIEVE, lex.HOPE, lex.SAY))
    main = Clause(subject(dice, lex.HUMAN, negated=True), verb)
    return _joined(main, _THAT, clause(dice))


def doubt(dice: Dice) -> Line:
    """I do not know whether he is ill. / Ich weiß nicht, ob er krank ist."""
    who = subject(dice, lex.HUMAN, negated=True)
    main = Clause(who, lex.KNOW_THAT, negated=True)
    if dice.chance(0.3):
        main = Clause(who, lex.ASK, tense=Tense.PROGRESSIVE if dice.chance(0.3) else Tense.PRESENT)
    if dice.chance(0.3):
        return _joined(main, _WHETHER, _mood(referable(dice), dice.pick(_MOODS)))
    return _joined(main, _WHETHER, clause(dice, negated=False))


def indirect_question(dice: Dice) -> Line:
    """Do you know where my key is? / Weißt du, wo mein Schlüssel ist?"""
    if dice.chance(0.5):
        asked = Phrase("where", "wo")
        sub = _is(noun_phrase(dice, lex.PORTABLE | lex.ANIMAL, SUBJECT_DETS), asked)
    else:
        asked = Phrase("when", "wann")
        verb = dice.pick((lex.BEGIN, lex.LEAVE, lex.ARRIVE))
        sub = Clause(
            noun_phrase(dice, verb.subjects, _SCHEDULED_DETS, owned=False), verb, time=asked
        )
    negated = dice.chance(0.6)
    # People ask others, not themselves, what they know.
    who = subject(dice, lex.HUMAN, negated=True) if negated else Pronoun(dice.pick(_OTHERS))
    main = Clause(who, lex.KNOW_THAT, negated=negated)
    tail_en, tail_de = sub.en(asked), [COMMA, *sub.de(Order.FINAL, asked)]
    if main.negated:
        return line(".", main.en() + tail_en, main.de(Order.V2) + tail_de)
    return line("?", main.en(inverted=True) + tail_en, main.de(Order.V1) + tail_de)


_OTHERS = (lex.YOU, lex.YOU, lex.HE, lex.SHE, lex.THEY)


def coordination(dice: Dice) -> Line:
    """The boy sings and the girl dances. / Der Junge singt und das Mädchen tanzt."""
    when = dice.pick((plain, now, will, perfect, past))
    first, second = (clause(dice, dice.pick(_by_base(_DAILY)), when=when(dice)) for _ in range(2))
    linked = Phrase("and", "und")
    return line(
        ".",
        [*first.en(), *linked.en(), *second.en()],
        [*first.de(Order.V2), *linked.de(), *second.de(Order.V2)],
    )


# ---------------------------------------------------------------- pronouns that refer back


def lost_thing(dice: Dice) -> Line:
    """Where is my key? I cannot find it. / Wo ist mein Schlüssel? Ich kann ihn nicht finden."""
    thing = noun_phrase(dice, lex.PORTABLE, SUBJECT_DETS)
    asked = Phrase("where", "wo")
    question = _is(thing, asked)
    missing = dice.chance(0.4)
    verbs = _by_base(("find",)) if missing else _handling(thing.noun.kinds, willed=True)
    when = Setting(modal=lex.CAN if missing else dice.pick((lex.MUST, lex.WANT, lex.WOULD_LIKE)))
    who, what = Pronoun(dice.pick(lex.PRONOUNS)), back_reference(thing)
    answer = clause(dice, dice.pick(verbs), who, what, when, negated=missing)
    first = line("?", question.en(asked, inverted=True), question.de(Order.V2, asked))
    return first.then(line(".", answer.en(), answer.de(Order.V2)))


def contrast(dice: Dice) -> Line:
    """The coat is old, but he wears it. / Der Mantel ist alt, aber er trägt ihn."""
    thing = _thing(dice)
    kinds = thing.noun.kinds
    first = replace(_described(dice, thing, kinds), tense=Tense.PRESENT)
    second = clause(dice, dice.pick(_choosing(kinds)), what=back_reference(thing))
    linked = Phrase("but", "aber")
    return line(
        ".",
        [*first.en(), COMMA, *linked.en(), *second.en()],
        [*first.de(Order.V2), COMMA, *linked.de(), *second.de(Order.V2)],
    )


def thing_reason(dice: Dice) -> Line:
    """He buys the coat because it is cheap. / Er kauft den Mantel, weil er billig ist."""
    thing = _thing(dice)
    kinds = thing.noun.kinds
    main = clause(dice, dice.pick(_choosing(kinds)), what=thing, negated=False)
    tense = Tense.PAST if main.tense is Tense.PAST else Tense.PRESENT
    again = back_reference(thing)
    verb = dice.pick(_choosing(kinds))
    if verb is not main.verb and verb.aspect is not lex.STATE and dice.chance(0.3):
        when = Setting(tense, lex.WANT)
        sub = clause(dice, verb, first_name(dice), again, when, negated=False)
    else:
        sub = replace(_described(dice, again, kinds), tense=tense)
    return _joined(main, _BECAUSE, sub)


def _thing(dice: Dice) -> NounPhrase:
    noun_ = dice.pick(_CHOSEN_NOUNS)
    return replace(phrase_of(dice, noun_, dice.pick(DEFINITE_DETS)), adjective=None)


@cache
def _choosing(kinds: Kind) -> tuple[Verb, ...]:
    """Return verbs for what people do with things because of their qualities: buy, not lose."""
    return tuple(verb for verb in _handling(kinds) if verb.en.base in _CHOICES)


_CHOICES = (
    *("read", "translate", "repeat", "eat", "cook", "drink", "order", "buy", "sell", "hide"),
    *("need", "like", "wear", "throw", "watch", "visit", "look", "see"),
)


# ---------------------------------------------------------------- relatives and infinitives


def relative(dice: Dice) -> Line:
    """The man who helps me is old. / Der Mann, der mir hilft, ist alt."""
    if dice.chance(0.5):
        head = noun_phrase(dice, Kind.PERSON, THE_ONLY, owned=False)
        pronoun = RelativePronoun(True, head.gender)
        inner = clause(dice, dice.pick(_HUMAN_VERBS), pronoun)
    else:
        head = replace(_thing(dice), owner=None, det=lex.THE)
        pronoun = RelativePronoun(False, head.gender)
        inner = clause(dice, dice.pick(_handling(head.noun.kinds)), what=pronoun, negated=False)
    head = replace(head, relative=Relative(inner, pronoun))
    if dice.chance(0.5):
        head = replace(head, adjective=None)
        outer = _described(dice, head, head.noun.kinds)
    else:
        # Without a verb part at the end, which would come late, after the relative clause.
        verbs = _handling(head.noun.kinds)
        verb = dice.pick(tuple(verb for verb in verbs if verb.willed and not verb.de.prefix))
        outer = clause(dice, verb, what=head, when=Setting(), negated=False)
        outer = replace(outer, place=None, manner=None)
    return line(".", outer.en(), outer.de(Order.V2))


def intention(dice: Dice) -> Line:
    """He has forgotten to call her. / Er hat vergessen, sie anzurufen."""
    verb = dice.pick((lex.TRY, lex.FORGET, lex.DECIDE, lex.PROMISE))
    who = subject(dice, lex.HUMAN, negated=True)
    when = dice.pick((Setting(), Setting(Tense.PERFECT), past(dice)))
    main = clause(dice, verb, who, when=when, negated=False)
    sub = clause(dice, dice.pick(_WILLED_VERBS), who, when=Setting(), negated=False)
    return line(
        ".",
        [*main.en(main.time), *sub.infinitive_en()],
        [*main.de(Order.V2, main.time), COMMA, *sub.infinitive_de()],
    )


def purpose(dice: Dice) -> Line:
    """She drives home in order to help us. / Sie fährt nach Hause, um uns zu helfen."""
    who = subject(dice, lex.HUMAN, negated=True)
    main = clause(dice, dice.pick(lex.MOTION), who, negated=False)
    sub = clause(dice, dice.pick(_PURPOSES), who, when=Setting(), negated=False)
    linked = Phrase("in_order", "um")
    return line(
        ".",
        [*main.en(), *linked.en(), *sub.infinitive_en()],
        [*main.de(Order.V2), COMMA, *linked.de(), *sub.infinitive_de()],
    )


def request(dice: Dice) -> Line:
    """Can you help me, Mrs. Weber? / Können Sie mir helfen, Frau Weber?"""
    addressed: tuple[tuple[PronounEntry, Name | Phrase], ...] = (
        (lex.YOU, first_name(dice)),
        (lex.YOU_POLITE, titled_name(dice)),
        (lex.YOU_ALL, Phrase("children", "Kinder")),
    )
    entry, called = dice.pick(addressed)
    while True:
        when = Setting(modal=dice.pick((lex.CAN, lex.MUST, lex.WANT, lex.WOULD_LIKE)))
        asked = clause(dice, dice.pick(_WILLED_VERBS), Pronoun(entry), when=when, negated=False)
        english = asked.en(inverted=True)
        # A second "you" or a "your" would also have to agree with the form of address.
        if sum(word.text in ("you", "your") for word in english) == 1:
            break
    german = asked.de(Order.V1)
    return line("?", [*english, COMMA, *called.en()], [*german, COMMA, *called.de()])


_HUMAN_VERBS = tuple(verb for verb in lex.VERBS if verb.subjects & lex.HUMAN)
_WILLED_VERBS = tuple(verb for verb in _HUMAN_VERBS if verb.willed and verb.aspect is not lex.STATE)
_TIMED = tuple(verb for verb in lex.VERBS if verb.aspect is not lex.STATE)
_PLACEABLE = tuple(verb for verb in lex.VERBS if verb.places) + lex.MOTION[:-1]
# The question is "what" for things and "who" for beings, so verbs that take both are left out.
_ASKABLE = tuple(
    verb for verb in lex.TRANSITIVE if verb.objects in lex.BEING or not verb.objects & lex.BEING
)
_HANDLING = tuple(
    verb for verb in lex.TRANSITIVE if verb.aspect is not lex.STATE and verb.objects & ~lex.BEING
)
_PURPOSES = tuple(
    verb
    for verb in lex.VERBS
    if verb.en.base in ("meet", "visit", "help", "work", "pick", "wait", "speak", "thank")
)


@cache
def _handling(kinds: Kind, willed: bool = False) -> tuple[Verb, ...]:
    """Return the verbs that take objects of these kinds; `willed` keeps only deliberate actions."""
    return tuple(
        verb
        for verb in lex.TRANSITIVE
        if verb.objects & kinds and not (willed and (verb.aspect is lex.STATE or not verb.willed))
    )


_CHOSEN_NOUNS = tuple(
    noun
    for noun in lex.NOUNS
    if _choosing(noun.kinds) and lex.adjectives(noun.kinds) and not noun.kinds & lex.BEING
)


# Constructions with their relative frequencies.
WEIGHTS: tuple[tuple[Callable[[Dice], Line], int], ...] = (
    (statement, 30),
    (fronted_time, 10),
    (fronted_object, 3),
    (yes_no_question, 8),
    (who_question, 4),
    (object_question, 4),
    (adverb_question, 5),
    (description, 5),
    (comparison, 3),
    (profession, 2),
    (location, 3),
    (existence, 3),
    (time_of_day, 1),
    (timetable, 3),
    (price, 2),
    (age, 1),
    (reason, 5),
    (condition, 4),
    (sequence, 3),
    (report, 5),
    (doubt, 3),
    (indirect_question, 2),
    (coordination, 3),
    (lost_thing, 3),
    (contrast, 4),
    (thing_reason, 4),
    (relative, 5),
    (intention, 4),
    (purpose, 2),
    (request, 3),
)
CONSTRUCTIONS: tuple[Callable[[Dice], Line], ...] = tuple(
    draw for draw, weight in WEIGHTS for _ in range(weight)
)
