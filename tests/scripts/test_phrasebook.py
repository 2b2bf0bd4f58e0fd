"""The grammar behind the demo corpus: what it promises, and hand-written examples."""

import lzma
import re
from collections import Counter
from itertools import islice

import pytest

from nmt.data.phrasebook import FILE, Pair
from phrasebook import lexicon as lex
from phrasebook.__main__ import lines
from phrasebook.drawing import Dice, back_reference, clock
from phrasebook.inflection import (
    Adjective,
    Case,
    Determiner,
    Gender,
    Noun,
    Paradigm,
    Person,
    PronounEntry,
    Verb,
    english_verb,
    german_verb,
    relative_pronoun,
)
from phrasebook.lines import line, to_pair
from phrasebook.splits import SPLITS, pairs, stream
from phrasebook.tree import (
    Clause,
    Name,
    NounPhrase,
    Order,
    Phrase,
    PrepPhrase,
    Pronoun,
    Relative,
    RelativePronoun,
    Tense,
)

NOM, ACC, DAT, GEN = Case.NOM, Case.ACC, Case.DAT, Case.GEN


def noun(en: str) -> Noun:
    return next(entry for entry in lex.NOUNS if entry.en == en)


def verb(de: str) -> Verb:
    """The verb with this German infinitive, prefix included."""
    return next(entry for entry in lex.VERBS if entry.de.prefix + entry.de.infinitive == de)


def adjective(en: str) -> Adjective:
    return next(entry for entry in lex.ADJECTIVES if entry.en == en)


def the(en: str, **features: object) -> NounPhrase:
    return NounPhrase(noun(en), lex.THE, **features)  # type: ignore[arg-type]


def spell(phrase: NounPhrase, case: Case) -> str:
    return " ".join(word.text for word in phrase.de(case))


def said(clause: Clause, order: Order = Order.V2) -> tuple[str, str]:
    """A clause as a line of its own; questions for V1."""
    end = "?" if order is Order.V1 else "."
    pair = to_pair(line(end, clause.en(inverted=order is Order.V1), clause.de(order)))
    return pair.src, pair.tgt


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Pair]]:
    return {split: pairs(split) for split in SPLITS}


@pytest.fixture(scope="module")
def everything(corpus: dict[str, list[Pair]]) -> list[Pair]:
    return [pair for split in corpus.values() for pair in split]


# The corpus


def test_splits_have_their_sizes(corpus: dict[str, list[Pair]]) -> None:
    assert {split: len(drawn) for split, drawn in corpus.items()} == SPLITS


def test_no_line_of_either_side_occurs_twice(everything: list[Pair]) -> None:
    assert len({pair.src for pair in everything}) == len(everything)
    assert len({pair.tgt for pair in everything}) == len(everything)


def test_german_is_a_function_of_english() -> None:
    """On the raw stream, as the corpus drops repetitions; a word's case is no distinction."""
    german: dict[str, str] = {}
    repeated = 0
    for pair in islice(stream(seed=3), 60_000):
        repeated += pair.src in german
        assert german.setdefault(pair.src, pair.tgt) == pair.tgt, pair.src
    assert repeated > 1000


def test_the_grammar_makes_the_file_that_nmt_ships() -> None:
    assert "".join(lines()).encode() == lzma.decompress(FILE.read_bytes())


# Every line


def test_lines_are_written_properly(everything: list[Pair]) -> None:
    for pair in everything:
        for text in (pair.src, pair.tgt):
            assert text == " ".join(text.split()), text
            assert text[0].isupper(), text
            assert re.search(r"[^.,?!][.?]$", text), text
            assert not re.search(r" [.,?!]|[,?!]\S", text), text


def test_article_fits_the_next_sound(everything: list[Pair]) -> None:
    seen = Counter[bool]()
    for pair in everything:
        for article, word in re.findall(r"\b(an?) ([a-z]+)", pair.src, re.IGNORECASE):
            vowel = word.startswith(tuple("aeio")) or word in ("umbrella", "uncle", "ugly", "hour")
            vowel = vowel or word == "honest"
            assert (article.lower() == "an") == vowel, pair.src
            seen[vowel] += 1
    assert min(seen[True], seen[False]) > 1000


def test_german_subordinate_clauses_are_set_off(everything: list[Pair]) -> None:
    conjunction = r"(weil|dass|ob|obwohl|bevor|um)"
    found = 0
    for pair in everything:
        for before in re.findall(rf"(\S+) {conjunction} ", pair.tgt):
            # "um" is a preposition before times of day.
            if before[1] != "um":
                assert before[0].endswith(","), pair.tgt
                found += 1
    assert found > 5000


def test_lengths_are_moderate(everything: list[Pair]) -> None:
    lengths = sorted(len(pair.src.split()) for pair in everything)
    assert lengths[0] >= 3
    assert lengths[int(0.98 * len(lengths))] <= 16
    assert lengths[-1] <= 30


def words(texts: list[str]) -> Counter[str]:
    return Counter(word.strip(".,?!").lower() for text in texts for word in text.split())


def test_every_word_is_learnt_from_enough_examples(corpus: dict[str, list[Pair]]) -> None:
    counts = words([pair.tgt for pair in corpus["train"]])

    def seen(forms: set[str]) -> int:
        return sum(counts[form.lower()] for form in forms)

    rare = []
    for entry in lex.NOUNS:
        numbers = (False, True) if entry.countable else (False,)
        forms = {entry.de_form(case, plural) for case in Case for plural in numbers}
        rare += [entry.de] * (seen(forms) < 50)
    for described in lex.ADJECTIVES:
        forms = {described.form(Paradigm.FIXED, case, gender) for case in Case for gender in Gender}
        rare += [described.de] * (seen(forms | {described.de}) < 50)
    for done in lex.VERBS:
        joined = {done.de.prefix + form for form in (*done.de.present, done.de.infinitive)}
        rare += [done.de.infinitive] * (seen(joined | {done.de.participle}) < 50)
    for name in (*lex.WOMEN, *lex.MEN, *lex.SURNAMES, *(city for _, city in lex.CITIES)):
        rare += [name] * (counts[name.lower()] < 50)
    for table in (lex.FREQUENCIES, lex.HABITS, lex.PAST_TIMES, lex.FUTURE_TIMES):
        rare += [a.de for a in table if min(seen({w}) for w in re.split("[ _]", a.de)) < 50]
    for manner, _ in lex.MANNERS:
        rare += [manner.de] * (counts[manner.de] < 50)
    assert rare == []


def test_test_split_has_no_unknown_words(corpus: dict[str, list[Pair]]) -> None:
    known = words([pair.src for pair in corpus["train"]])
    held_out = words([pair.src for split in ("valid", "test") for pair in corpus[split]])
    assert [word for word in held_out if word not in known] == []


def test_only_drinks_are_drunk(everything: list[Pair]) -> None:
    """Selection holds in questions too; no "which table does he drink"."""
    drinks = {noun.en for noun in lex.nouns(lex.DRINK)}
    asked = [p.src for p in everything if re.search(r"^(Which|How many|How much).* drink\b", p.src)]
    objects = [
        match[1]
        for pair in everything
        if (match := re.search(r"\b[Dd]rinks? (?:the |any )?(\w+)\.$", pair.src))
    ]
    assert asked == []
    assert len(objects) > 20
    assert set(objects) <= drinks | {"it"}


# Alignment


def test_alignment_stays_within_the_line(everything: list[Pair]) -> None:
    for pair in everything:
        src, tgt = len(pair.src.split()), len(pair.tgt.split())
        assert pair.alignment, pair
        assert pair.alignment == tuple(sorted(set(pair.alignment)))
        assert all(0 <= i < src and 0 <= j < tgt for i, j in pair.alignment), pair


def test_alignment_leaves_only_function_words_alone(everything: list[Pair]) -> None:
    alone = Counter[str]()
    for pair in everything:
        linked = {i for i, _ in pair.alignment}
        texts = pair.src.split()
        alone.update(w.strip(",.?").lower() for i, w in enumerate(texts) if i not in linked)
    # "to" before a recipient: German says it by case.
    assert set(alone) == {"do", "does", "did", "there", "to"}, alone


def links(pair: Pair) -> set[tuple[str, str]]:
    src, tgt = pair.src.split(), pair.tgt.split()
    return {(src[i].strip(".,?"), tgt[j].strip(".,?")) for i, j in pair.alignment}


def test_alignment_of_a_separable_verb_and_contraction() -> None:
    garden = PrepPhrase("in", "in", DAT, the("garden"))
    clause = Clause(Name("Anna", True), verb("aufmachen"), the("gate"), place=garden)
    pair = to_pair(line(".", clause.en(), clause.de(Order.V2)))
    assert pair.tgt == "Anna macht das Tor im Garten auf."
    assert links(pair) == {
        *(("Anna", "Anna"), ("opens", "macht"), ("opens", "auf"), ("the", "das")),
        *(("gate", "Tor"), ("in", "im"), ("the", "im"), ("garden", "Garten")),
    }


def test_alignment_of_do_support_and_kein() -> None:
    hat = NounPhrase(noun("hat"), lex.NOT_A)
    clause = Clause(Name("Tom", False), verb("kaufen"), hat, negated=True)
    pair = to_pair(line(".", clause.en(), clause.de(Order.V2)))
    assert (pair.src, pair.tgt) == ("Tom does not buy a hat.", "Tom kauft keinen Hut.")
    # "does" has no counterpart.
    assert pair.alignment == ((0, 0), (2, 2), (3, 1), (4, 2), (5, 3))


def test_alignment_of_a_past_question() -> None:
    yesterday = Phrase("yesterday", "gestern")
    clause = Clause(Pronoun(lex.SHE), verb("anrufen"), Pronoun(lex.HE), time=yesterday)
    clause = Clause(clause.subject, clause.verb, clause.object, time=yesterday, tense=Tense.PAST)
    pair = to_pair(line("?", clause.en(inverted=True), clause.de(Order.V1)))
    assert (pair.src, pair.tgt) == ("Did she call him yesterday?", "Hat sie ihn gestern angerufen?")
    assert pair.alignment == ((0, 0), (1, 1), (2, 4), (3, 2), (4, 3))


# Inflection


@pytest.mark.parametrize(
    ("det", "en", "expected"),
    [
        (lex.THE, "dog", "der Hund, den Hund, dem Hund, des Hundes"),
        (lex.THE, "cat", "die Katze, die Katze, der Katze, der Katze"),
        (lex.THE, "child", "das Kind, das Kind, dem Kind, des Kindes"),
        (lex.THE, "neighbour", "der Nachbar, den Nachbarn, dem Nachbarn, des Nachbarn"),
        (lex.A, "teacher", "ein Lehrer, einen Lehrer, einem Lehrer, eines Lehrers"),
        (lex.NOT_A, "question", "keine Frage, keine Frage, keiner Frage, keiner Frage"),
        (lex.THIS, "book", "dieses Buch, dieses Buch, diesem Buch, dieses Buches"),
    ],
)
def test_noun_phrase_in_four_cases(det: Determiner, en: str, expected: str) -> None:
    assert [spell(NounPhrase(noun(en), det), case) for case in Case] == expected.split(", ")


@pytest.mark.parametrize(
    ("det", "en", "expected"),
    [
        (lex.THE, "dog", "der alte Hund, den alten Hund, dem alten Hund, des alten Hundes"),
        (lex.A, "dog", "ein alter Hund, einen alten Hund, einem alten Hund, eines alten Hundes"),
        (lex.A, "book", "ein altes Buch, ein altes Buch, einem alten Buch, eines alten Buches"),
        (lex.BARE, "beer", "altes Bier, altes Bier, altem Bier, alten Bieres"),
        (lex.BARE, "milk", "alte Milch, alte Milch, alter Milch, alter Milch"),
    ],
)
def test_adjective_in_four_cases(det: Determiner, en: str, expected: str) -> None:
    phrase = NounPhrase(noun(en), det, adjective=adjective("old"))
    assert [spell(phrase, case) for case in Case] == expected.split(", ")


@pytest.mark.parametrize(
    ("det", "expected"),
    [
        (lex.THE, "den neuen Tischen"),
        (lex.MANY, "vielen neuen Tischen"),
        (lex.NUMERALS[0], "zwei neuen Tischen"),
        (lex.POSSESSIVES[4], "unseren neuen Tischen"),
        (lex.NOT_ANY, "keinen neuen Tischen"),
    ],
)
def test_dative_plural(det: Determiner, expected: str) -> None:
    phrase = NounPhrase(noun("table"), det, plural=True, adjective=adjective("new"))
    assert spell(phrase, DAT) == expected


@pytest.mark.parametrize(
    ("det", "expected"),
    [
        (lex.THE, "die teuren Äpfel"),
        (lex.SOME, "einige teure Äpfel"),
        (lex.ALL, "alle teuren Äpfel"),
        (lex.NUMERALS[1], "drei teure Äpfel"),
        (lex.BARE, "teure Äpfel"),
    ],
)
def test_nominative_plural(det: Determiner, expected: str) -> None:
    phrase = NounPhrase(noun("apple"), det, plural=True, adjective=adjective("expensive"))
    assert spell(phrase, NOM) == expected


def test_plural_takes_no_second_n() -> None:
    assert noun("woman").de_form(DAT, True) == "Frauen"
    assert noun("car").de_form(DAT, True) == "Autos"
    assert noun("cup").de_form(DAT, True) == "Tassen"
    assert noun("doctor").de_form(DAT, True) == "Ärzten"


def test_owner() -> None:
    owned = the("car", adjective=adjective("new"), owner=the("friend", adjective=adjective("old")))
    assert spell(owned, DAT) == "dem neuen Auto des alten Freundes"
    assert " ".join(word.text for word in owned.en(NOM)) == "the old friend's new car"
    named = the("car", adjective=adjective("new"), owner=Name("Anna", True))
    assert spell(named, DAT) == "Annas neuem Auto"
    many = the("car", owner=the("guest", plural=True))
    assert " ".join(word.text for word in many.en(NOM)) == "the guests' car"


def test_relative_pronoun_differs_from_the_article_in_the_dative_plural() -> None:
    assert relative_pronoun(DAT, Gender.PL) == "denen"
    assert relative_pronoun(ACC, Gender.M) == "den"


@pytest.mark.parametrize(
    ("parts", "present", "participle", "aux"),
    [
        ("machen", "mache machst macht machen macht machen", "gemacht", "haben"),
        (
            "arbeiten",
            "arbeite arbeitest arbeitet arbeiten arbeitet arbeiten",
            "gearbeitet",
            "haben",
        ),
        (
            "zeichnen",
            "zeichne zeichnest zeichnet zeichnen zeichnet zeichnen",
            "gezeichnet",
            "haben",
        ),
        ("putzen", "putze putzt putzt putzen putzt putzen", "geputzt", "haben"),
        ("füttern", "füttere fütterst füttert füttern füttert füttern", "gefüttert", "haben"),
        ("besuchen", "besuche besuchst besucht besuchen besucht besuchen", "besucht", "haben"),
        ("auf|machen", "mache machst macht machen macht machen", "aufgemacht", "haben"),
        ("lesen, liest, gelesen", "lese liest liest lesen lest lesen", "gelesen", "haben"),
        (
            "ab|fahren, fährt, ist gefahren",
            "fahre fährst fährt fahren fahrt fahren",
            "abgefahren",
            "sein",
        ),
    ],
)
def test_german_verb(parts: str, present: str, participle: str, aux: str) -> None:
    forms = german_verb(parts)
    assert (" ".join(forms.present), forms.participle, forms.aux) == (present, participle, aux)


@pytest.mark.parametrize(
    ("parts", "forms"),
    [
        ("open", "open opens opened opened opening"),
        ("watch", "watch watches watched watched watching"),
        ("tidy|up", "tidy tidies tidied tidied tidying"),
        ("play", "play plays played played playing"),
        ("dance", "dance dances danced danced dancing"),
        ("run, ran, run", "run runs ran run running"),
        ("begin, began, begun", "begin begins began begun beginning"),
        ("see, saw, seen", "see sees saw seen seeing"),
        ("have, had, had", "have has had had having"),
    ],
)
def test_english_verb(parts: str, forms: str) -> None:
    assert " ".join(english_verb(parts)[:5]) == forms


def test_every_form_of_du_ends_in_st_or_t() -> None:
    for entry in lex.VERBS:
        assert entry.de.present[Person.S2].endswith("t"), entry.de


# Word order


def door(**features: object) -> Clause:
    return Clause(the("man"), verb("aufmachen"), the("door"), **features)  # type: ignore[arg-type]


def german(clause: Clause, order: Order, front: Phrase | None = None) -> str:
    return " ".join(word.text for word in clause.de(order, front))


def test_separable_verb() -> None:
    assert german(door(), Order.V2) == "der Mann macht die Tür auf"
    assert german(door(), Order.V1) == "macht der Mann die Tür auf"
    assert german(door(), Order.FINAL) == "der Mann die Tür aufmacht"
    assert german(door(tense=Tense.PERFECT), Order.V2) == "der Mann hat die Tür aufgemacht"
    assert german(door(tense=Tense.PERFECT), Order.FINAL) == "der Mann die Tür aufgemacht hat"
    assert german(door(modal=lex.CAN), Order.FINAL) == "der Mann die Tür aufmachen kann"
    assert " ".join(w.text for w in door().infinitive_de()) == "die Tür aufzumachen"


def test_verb_stays_second_behind_a_fronted_phrase() -> None:
    today = Phrase("today", "heute")
    clause = door(time=today, tense=Tense.PERFECT)
    assert german(clause, Order.V2, today) == "heute hat der Mann die Tür aufgemacht"
    assert " ".join(w.text for w in clause.en(today)) == "today the man has opened the door"


def test_relative_clause() -> None:
    pronoun = RelativePronoun(True, Gender.M)
    help_ = Clause(pronoun, verb("helfen"), Pronoun(lex.I))
    man = the("man", relative=Relative(help_, pronoun))
    assert said(Clause(man, verb("schlafen"))) == (
        "The man who helps me sleeps.",
        "Der Mann, der mir hilft, schläft.",
    )
    # At the end of the sentence the closing comma gives way to the full stop.
    assert said(Clause(Pronoun(lex.I), verb("kennen"), man)) == (
        "I know the man who helps me.",
        "Ich kenne den Mann, der mir hilft.",
    )


def test_objects() -> None:
    give = verb("geben")
    child, ball, it = the("child"), NounPhrase(noun("ball"), lex.A), Pronoun(lex.IT_M)
    assert said(Clause(Pronoun(lex.WE), give, ball, child)) == (
        "We give the child a ball.",
        "Wir geben dem Kind einen Ball.",
    )
    assert said(Clause(Pronoun(lex.WE), give, it, child)) == (
        "We give it to the child.",
        "Wir geben ihn dem Kind.",
    )
    assert said(Clause(Pronoun(lex.WE), give, it, Pronoun(lex.SHE)))[1] == "Wir geben ihn ihr."


def test_nicht_and_kein() -> None:
    negated = Clause(Pronoun(lex.HE), verb("kaufen"), the("hat"), negated=True)
    assert said(negated) == ("He does not buy the hat.", "Er kauft den Hut nicht.")
    indefinite = Clause(
        Pronoun(lex.HE), verb("kaufen"), NounPhrase(noun("milk"), lex.NOT_ANY), negated=True
    )
    assert said(indefinite) == ("He does not buy any milk.", "Er kauft keine Milch.")
    waits = Clause(
        Pronoun(lex.HE),
        verb("warten"),
        complement=PrepPhrase("for", "auf", ACC, the("bus")),
        negated=True,
    )
    assert said(waits) == ("He does not wait for the bus.", "Er wartet nicht auf den Bus.")


def test_modals() -> None:
    sleep = verb("schlafen")

    def modal(which: object, **features: object) -> tuple[str, str]:
        clause = Clause(Pronoun(lex.SHE), sleep, modal=which, **features)  # type: ignore[arg-type]
        return said(clause)

    assert modal(lex.CAN, negated=True) == ("She cannot sleep.", "Sie kann nicht schlafen.")
    assert modal(lex.MUST, negated=True)[0] == "She does not have to sleep."
    assert modal(lex.MAY, negated=True) == ("She must not sleep.", "Sie darf nicht schlafen.")
    assert modal(lex.WANT) == ("She wants to sleep.", "Sie will schlafen.")
    assert modal(lex.MAY, tense=Tense.PAST) == ("She was allowed to sleep.", "Sie durfte schlafen.")
    assert modal(lex.WOULD_LIKE) == ("She would like to sleep.", "Sie möchte schlafen.")
    question = Clause(Pronoun(lex.YOU), sleep, modal=lex.WANT)
    assert said(question, Order.V1) == ("Do you want to sleep?", "Willst du schlafen?")


def test_past_tenses() -> None:
    ill = Phrase("ill", "krank")
    was = Clause(Pronoun(lex.THEY), lex.BE, complement=ill, tense=Tense.PAST)
    assert said(was) == ("They were ill.", "Sie waren krank.")
    went = Clause(Pronoun(lex.THEY), verb("zurückkommen"), tense=Tense.PAST)
    assert said(went) == ("They came back.", "Sie sind zurückgekommen.")
    had = Clause(Pronoun(lex.I), lex.HAVE, NounPhrase(noun("dog"), lex.A), tense=Tense.PAST)
    assert said(had) == ("I had a dog.", "Ich hatte einen Hund.")


def test_particle_follows_a_pronoun() -> None:
    radio = Clause(Pronoun(lex.I), verb("einschalten"), the("radio"))
    assert said(radio) == ("I turn on the radio.", "Ich schalte das Radio ein.")
    it = Clause(Pronoun(lex.I), verb("einschalten"), Pronoun(lex.IT_N))
    assert said(it) == ("I turn it on.", "Ich schalte es ein.")
    assert " ".join(word.text for word in it.infinitive_en()) == "to turn it on"


@pytest.mark.parametrize(
    ("german_", "case", "en", "expected"),
    [
        ("zu", DAT, "station", "zum Bahnhof"),
        ("zu", DAT, "bakery", "zur Bäckerei"),
        ("in", ACC, "cinema", "ins Kino"),
        ("in", ACC, "park", "in den Park"),
        ("an", DAT, "lake", "am See"),
        ("auf", ACC, "market", "auf den Markt"),
    ],
)
def test_contractions(german_: str, case: Case, en: str, expected: str) -> None:
    phrase = PrepPhrase("to", german_, case, the(en))
    assert " ".join(word.text for word in phrase.de()) == expected
    demonstrative = PrepPhrase("to", german_, case, NounPhrase(noun(en), lex.THIS))
    assert demonstrative.de()[0].text == german_


@pytest.mark.parametrize(
    ("en", "nominative", "accusative"),
    [("letter", "er", "ihn"), ("newspaper", "sie", "sie"), ("book", "es", "es")],
)
def test_it_takes_the_gender_of_its_noun(en: str, nominative: str, accusative: str) -> None:
    it = back_reference(the(en))
    assert [word.text for word in it.en(NOM)] == ["it"]
    assert [word.text for word in it.de(NOM) + it.de(ACC)] == [nominative, accusative]
    assert back_reference(the(en, plural=True)).entry is lex.THEY


@pytest.mark.parametrize(("en", "entry"), [("uncle", lex.HE), ("aunt", lex.SHE)])
def test_people_are_not_it(en: str, entry: PronounEntry) -> None:
    assert back_reference(the(en)).entry is entry


def test_half_hours_count_towards_the_next() -> None:
    dice = Dice(1)
    times = {time.english: time.german for time in (clock(dice) for _ in range(3000))}
    assert len(times) == 72
    assert times["half past_three"] == "halb vier"
    assert times["half past_twelve"] == "halb eins"
    assert times["quarter past three"] == "Viertel nach drei"
    assert times["twenty to seven"] == "zwanzig vor sieben"
    assert times["one o'clock"] == "ein Uhr"


def test_dice_are_stable() -> None:
    dice = Dice(7)
    assert [dice.pick(range(100)) for _ in range(5)] == [32, 15, 65, 7, 53]
