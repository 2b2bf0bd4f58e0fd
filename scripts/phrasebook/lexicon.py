"""The words of the phrasebook.

Each entry has what the grammar needs to use the word in both languages: gender, plural, principal
parts, and the semantic kinds it goes with, so that people read books and nobody drinks a table.

To add a word, add a line. Each English word must have a single German translation in every context
that the grammar can produce, because the corpus guarantees that the German side is a function of
the English side.
"""

from functools import cache

from phrasebook.inflection import (
    Adjective,
    Adverb,
    Aspect,
    Case,
    Determiner,
    EnglishAux,
    EnglishVerb,
    Gender,
    Kind,
    Modal,
    Noun,
    Paradigm,
    Person,
    Profession,
    PronounEntry,
    Verb,
    english_verb,
    german_verb,
    irregular_verb,
)

M, F, N = Gender.M, Gender.F, Gender.N

PERSON, KIN, ANIMAL = Kind.PERSON, Kind.KIN, Kind.ANIMAL
FOOD, DISH, BAKED = Kind.FOOD, Kind.DISH, Kind.BAKED
DRINK, TEXT, TALE = Kind.DRINK, Kind.TEXT, Kind.TALE
CLOTHES, GARMENT, FLAT = Kind.CLOTHES, Kind.GARMENT, Kind.FLAT
UPRIGHT, TOOL, LUGGAGE = Kind.UPRIGHT, Kind.TOOL, Kind.LUGGAGE
PRESENT, DEVICE, OPENABLE = Kind.PRESENT, Kind.DEVICE, Kind.OPENABLE
FURNITURE, VEHICLE, TRANSPORT = Kind.FURNITURE, Kind.VEHICLE, Kind.TRANSPORT
BUILDING, ROOM, OUTDOORS = Kind.BUILDING, Kind.ROOM, Kind.OUTDOORS
LESSON, SHOW, MUSIC = Kind.LESSON, Kind.SHOW, Kind.MUSIC
OWN = Kind.OWN
HUMAN = PERSON | KIN
BEING = HUMAN | ANIMAL
PORTABLE = CLOTHES | FLAT | UPRIGHT | TOOL | LUGGAGE | PRESENT
GOODS = PORTABLE | FURNITURE | DEVICE | VEHICLE
PLACE = BUILDING | ROOM | OUTDOORS
OWNABLE = OWN | KIN | GOODS | TEXT | FOOD | DRINK | ROOM


THE = Determiner("the", "d", Paradigm.DER, definite=True)
A = Determiner("a", "ein", Paradigm.EIN, plural=False)
BARE = Determiner("", "", Paradigm.FIXED)
THIS = Determiner("this", "dies", Paradigm.DIESER, definite=True, plural=False)
THESE = Determiner("these", "dies", Paradigm.DIESER, definite=True, plural=True)
EVERY = Determiner("every", "jed", Paradigm.DIESER, definite=True, plural=False)
ALL = Determiner("all", "all", Paradigm.DIESER, definite=True, plural=True)
WHICH = Determiner("which", "welch", Paradigm.DIESER)
SOME = Determiner("some", "einig", Paradigm.VIELE, plural=True)
MANY = Determiner("many", "viel", Paradigm.VIELE, plural=True)
HOW_MANY = Determiner("how many", "wie viel", Paradigm.VIELE, plural=True)

# German negates an indefinite noun by its article: "does not buy a hat" is "kauft keinen Hut".
NOT_A = Determiner("a", "kein", Paradigm.EIN, plural=False)
NOT_ANY = Determiner("any", "kein", Paradigm.EIN)

NUMBERS = (
    ("one", "eins"),
    ("two", "zwei"),
    ("three", "drei"),
    ("four", "vier"),
    ("five", "fünf"),
    ("six", "sechs"),
    ("seven", "sieben"),
    ("eight", "acht"),
    ("nine", "neun"),
    ("ten", "zehn"),
    ("eleven", "elf"),
    ("twelve", "zwölf"),
)

NUMERALS = tuple(Determiner(en, de, Paradigm.FIXED, plural=True) for en, de in NUMBERS[1:])


ADJECTIVES = (
    Adjective("old", "alt", BEING | GOODS | TEXT | BUILDING | SHOW | MUSIC, ("older", "älter")),
    Adjective("young", "jung", PERSON | ANIMAL, ("younger", "jünger")),
    Adjective("new", "neu", GOODS | TEXT | BUILDING | SHOW | MUSIC, ("newer", "neuer")),
    Adjective("big", "groß", ANIMAL | GOODS | PLACE | BAKED, ("bigger", "größer")),
    Adjective("small", "klein", ANIMAL | GOODS | PLACE | BAKED, ("smaller", "kleiner")),
    Adjective(
        "beautiful", "schön", CLOTHES | PRESENT | PLACE | MUSIC, ("more beautiful", "schöner")
    ),
    Adjective("ugly", "hässlich", CLOTHES | FURNITURE | BUILDING, ("uglier", "hässlicher")),
    Adjective("cheap", "billig", GOODS | FOOD | DRINK, ("cheaper", "billiger")),
    Adjective("expensive", "teuer", GOODS | FOOD | DRINK, ("more expensive", "teurer"), "teur"),
    Adjective("long", "lang", TEXT | SHOW | LESSON, ("longer", "länger")),
    Adjective("short", "kurz", TEXT | SHOW | LESSON, ("shorter", "kürzer")),
    Adjective("heavy", "schwer", LUGGAGE | FURNITURE, ("heavier", "schwerer")),
    Adjective("red", "rot", CLOTHES | LUGGAGE | VEHICLE | FLAT),
    Adjective("green", "grün", CLOTHES | LUGGAGE | VEHICLE | FURNITURE),
    Adjective("blue", "blau", CLOTHES | LUGGAGE | VEHICLE | UPRIGHT),
    Adjective("white", "weiß", CLOTHES | ANIMAL | BUILDING | UPRIGHT),
    Adjective("black", "schwarz", CLOTHES | ANIMAL | VEHICLE | LUGGAGE),
    Adjective("yellow", "gelb", CLOTHES | VEHICLE | UPRIGHT),
    Adjective("brown", "braun", CLOTHES | ANIMAL | FURNITURE),
    Adjective("warm", "warm", CLOTHES | ROOM | DISH, ("warmer", "wärmer")),
    Adjective("cold", "kalt", ROOM | DRINK | DISH, ("colder", "kälter")),
    Adjective("hot", "heiß", DISH, ("hotter", "heißer")),
    Adjective("fresh", "frisch", FOOD),
    Adjective("sweet", "süß", BAKED | DRINK, ("sweeter", "süßer")),
    Adjective("clean", "sauber", CLOTHES | ROOM | UPRIGHT | VEHICLE, ("cleaner", "sauberer")),
    Adjective("dirty", "schmutzig", CLOTHES | ROOM | UPRIGHT | VEHICLE, ("dirtier", "schmutziger")),
    Adjective("empty", "leer", UPRIGHT | LUGGAGE | BUILDING),
    Adjective("dark", "dunkel", ROOM | BUILDING, ("darker", "dunkler"), "dunkl"),
    Adjective("modern", "modern", BUILDING | FURNITURE | DEVICE),
    Adjective("broken", "kaputt", DEVICE | VEHICLE | TOOL | FURNITURE),
    Adjective("useful", "nützlich", TOOL | DEVICE | LESSON),
    Adjective("dangerous", "gefährlich", ANIMAL | VEHICLE),
    Adjective("tired", "müde", BEING, stem="müd"),
    Adjective("happy", "glücklich", HUMAN, ("happier", "glücklicher")),
    Adjective("sad", "traurig", HUMAN | TALE | MUSIC, ("sadder", "trauriger")),
    Adjective("friendly", "freundlich", HUMAN | ANIMAL, ("friendlier", "freundlicher")),
    Adjective("nice", "nett", HUMAN, ("nicer", "netter")),
    Adjective("strict", "streng", HUMAN, ("stricter", "strenger")),
    Adjective("clever", "klug", BEING, ("cleverer", "klüger")),
    Adjective("hungry", "hungrig", BEING, ("hungrier", "hungriger")),
    Adjective("ill", "krank", BEING),
    Adjective("famous", "berühmt", PERSON | BUILDING | TALE, ("more famous", "berühmter")),
    Adjective("rich", "reich", HUMAN, ("richer", "reicher")),
    Adjective("honest", "ehrlich", HUMAN, ("more honest", "ehrlicher")),
    Adjective("lazy", "faul", HUMAN | ANIMAL, ("lazier", "fauler")),
    Adjective("strong", "stark", HUMAN | ANIMAL, ("stronger", "stärker")),
    Adjective("funny", "lustig", PERSON | TALE | SHOW, ("funnier", "lustiger")),
    Adjective("interesting", "interessant", TEXT | SHOW, ("more interesting", "interessanter")),
    Adjective("boring", "langweilig", TEXT | SHOW, ("more boring", "langweiliger")),
    Adjective("important", "wichtig", FLAT | LESSON, ("more important", "wichtiger")),
    Adjective("difficult", "schwierig", LESSON, ("more difficult", "schwieriger")),
    Adjective("easy", "einfach", LESSON, ("easier", "einfacher")),
    Adjective("fast", "schnell", VEHICLE | TRANSPORT, ("faster", "schneller")),
    Adjective("quiet", "ruhig", ROOM | OUTDOORS, ("quieter", "ruhiger")),
)


NOUNS = (
    Noun("man", "Mann", "Männer", M, PERSON, "men"),
    Noun("woman", "Frau", "Frauen", F, PERSON, "women"),
    Noun("lady", "Dame", "Damen", F, PERSON),
    Noun("child", "Kind", "Kinder", N, PERSON | OWN, "children"),
    Noun("boy", "Junge", "Jungen", M, PERSON, weak=True),
    Noun("girl", "Mädchen", "Mädchen", N, PERSON),
    Noun("teacher", "Lehrer", "Lehrer", M, PERSON | OWN),
    Noun("doctor", "Arzt", "Ärzte", M, PERSON | OWN),
    Noun("nurse", "Krankenschwester", "Krankenschwestern", F, PERSON),
    Noun("neighbour", "Nachbar", "Nachbarn", M, PERSON | OWN, weak=True),
    Noun("student", "Student", "Studenten", M, PERSON, weak=True),
    Noun("friend", "Freund", "Freunde", M, PERSON | OWN),
    Noun("colleague", "Kollege", "Kollegen", M, PERSON | OWN, weak=True),
    Noun("farmer", "Bauer", "Bauern", M, PERSON, weak=True),
    Noun("cook", "Koch", "Köche", M, PERSON),
    Noun("baker", "Bäcker", "Bäcker", M, PERSON),
    Noun("gardener", "Gärtner", "Gärtner", M, PERSON),
    Noun("policeman", "Polizist", "Polizisten", M, PERSON, "policemen", weak=True),
    Noun("tourist", "Tourist", "Touristen", M, PERSON, weak=True),
    Noun("guest", "Gast", "Gäste", M, PERSON | OWN),
    Noun("mother", "Mutter", "", F, KIN),
    Noun("father", "Vater", "", M, KIN),
    Noun("sister", "Schwester", "Schwestern", F, KIN),
    Noun("brother", "Bruder", "Brüder", M, KIN),
    Noun("daughter", "Tochter", "Töchter", F, KIN),
    Noun("son", "Sohn", "Söhne", M, KIN),
    Noun("aunt", "Tante", "Tanten", F, KIN),
    Noun("uncle", "Onkel", "Onkel", M, KIN),
    Noun("grandmother", "Großmutter", "", F, KIN),
    Noun("grandfather", "Großvater", "", M, KIN),
    Noun("dog", "Hund", "Hunde", M, ANIMAL | OWN),
    Noun("cat", "Katze", "Katzen", F, ANIMAL | OWN),
    Noun("horse", "Pferd", "Pferde", N, ANIMAL | OWN),
    Noun("cow", "Kuh", "Kühe", F, ANIMAL | OWN),
    Noun("bird", "Vogel", "Vögel", M, ANIMAL | OWN),
    Noun("mouse", "Maus", "Mäuse", F, ANIMAL | OWN, "mice"),
    Noun("pig", "Schwein", "Schweine", N, ANIMAL | OWN),
    Noun("bear", "Bär", "Bären", M, ANIMAL, weak=True),
    Noun("elephant", "Elefant", "Elefanten", M, ANIMAL, weak=True),
    Noun("apple", "Apfel", "Äpfel", M, FOOD),
    Noun("pear", "Birne", "Birnen", F, FOOD),
    Noun("orange", "Orange", "Orangen", F, FOOD),
    Noun("banana", "Banane", "Bananen", F, FOOD),
    Noun("tomato", "Tomate", "Tomaten", F, FOOD),
    Noun("egg", "Ei", "Eier", N, FOOD | DISH),
    Noun("potato", "Kartoffel", "Kartoffeln", F, FOOD | DISH),
    Noun("sausage", "Wurst", "Würste", F, FOOD | DISH),
    Noun("cake", "Kuchen", "Kuchen", M, FOOD | BAKED),
    Noun("biscuit", "Keks", "Kekse", M, FOOD | BAKED),
    Noun("bread", "Brot", "", N, FOOD | BAKED),
    Noun("soup", "Suppe", "", F, FOOD | DISH),
    Noun("rice", "Reis", "", M, FOOD | DISH),
    Noun("meat", "Fleisch", "", N, FOOD | DISH),
    Noun("cheese", "Käse", "", M, FOOD),
    Noun("water", "Wasser", "", N, DRINK),
    Noun("milk", "Milch", "", F, DRINK),
    Noun("coffee", "Kaffee", "", M, DRINK),
    Noun("tea", "Tee", "", M, DRINK),
    Noun("juice", "Saft", "", M, DRINK),
    Noun("beer", "Bier", "", N, DRINK),
    Noun("book", "Buch", "Bücher", N, TEXT | TALE | FLAT | PRESENT),
    Noun("letter", "Brief", "Briefe", M, TEXT | FLAT),
    Noun("newspaper", "Zeitung", "Zeitungen", F, FLAT | TEXT),
    Noun("postcard", "Postkarte", "Postkarten", F, TEXT | FLAT),
    Noun("story", "Geschichte", "Geschichten", F, TEXT | TALE),
    Noun("novel", "Roman", "Romane", M, TEXT | TALE),
    Noun("poem", "Gedicht", "Gedichte", N, TEXT | TALE),
    Noun("report", "Bericht", "Berichte", M, TEXT),
    Noun("message", "Nachricht", "Nachrichten", F, TEXT),
    Noun("coat", "Mantel", "Mäntel", M, CLOTHES | GARMENT),
    Noun("jacket", "Jacke", "Jacken", F, CLOTHES | GARMENT),
    Noun("shirt", "Hemd", "Hemden", N, CLOTHES | GARMENT),
    Noun("cap", "Mütze", "Mützen", F, CLOTHES),
    Noun("hat", "Hut", "Hüte", M, CLOTHES),
    Noun("belt", "Gürtel", "Gürtel", M, CLOTHES),
    Noun("scarf", "Schal", "Schals", M, CLOTHES, "scarves"),
    Noun("blouse", "Bluse", "Blusen", F, CLOTHES | GARMENT),
    Noun("suit", "Anzug", "Anzüge", M, CLOTHES | GARMENT),
    Noun("pullover", "Pullover", "Pullover", M, CLOTHES | GARMENT),
    Noun("key", "Schlüssel", "Schlüssel", M, FLAT | TOOL),
    Noun("picture", "Bild", "Bilder", N, FLAT | PRESENT),
    Noun("ticket", "Fahrkarte", "Fahrkarten", F, FLAT),
    Noun("cup", "Tasse", "Tassen", F, UPRIGHT),
    Noun("glass", "Glas", "Gläser", N, UPRIGHT),
    Noun("plate", "Teller", "Teller", M, UPRIGHT),
    Noun("bottle", "Flasche", "Flaschen", F, UPRIGHT | OPENABLE),
    Noun("vase", "Vase", "Vasen", F, UPRIGHT | PRESENT),
    Noun("knife", "Messer", "Messer", N, TOOL, "knives"),
    Noun("umbrella", "Regenschirm", "Regenschirme", M, TOOL),
    Noun("bag", "Tasche", "Taschen", F, LUGGAGE),
    Noun("suitcase", "Koffer", "Koffer", M, LUGGAGE | OPENABLE),
    Noun("basket", "Korb", "Körbe", M, LUGGAGE),
    Noun("box", "Kiste", "Kisten", F, LUGGAGE | OPENABLE),
    Noun("flower", "Blume", "Blumen", F, PRESENT),
    Noun("ring", "Ring", "Ringe", M, PRESENT),
    Noun("ball", "Ball", "Bälle", M, PRESENT),
    Noun("doll", "Puppe", "Puppen", F, PRESENT),
    Noun("lamp", "Lampe", "Lampen", F, DEVICE),
    Noun("radio", "Radio", "Radios", N, DEVICE, "radios"),
    Noun("television", "Fernseher", "Fernseher", M, DEVICE),
    Noun("computer", "Computer", "Computer", M, DEVICE),
    Noun("machine", "Maschine", "Maschinen", F, DEVICE),
    Noun("door", "Tür", "Türen", F, OPENABLE),
    Noun("window", "Fenster", "Fenster", N, OPENABLE),
    Noun("gate", "Tor", "Tore", N, OPENABLE),
    Noun("table", "Tisch", "Tische", M, FURNITURE),
    Noun("chair", "Stuhl", "Stühle", M, FURNITURE),
    Noun("bed", "Bett", "Betten", N, FURNITURE),
    Noun("sofa", "Sofa", "Sofas", N, FURNITURE, "sofas"),
    Noun("shelf", "Regal", "Regale", N, FURNITURE, "shelves"),
    Noun("car", "Auto", "Autos", N, VEHICLE),
    Noun("bicycle", "Fahrrad", "Fahrräder", N, VEHICLE),
    Noun("lorry", "Lastwagen", "Lastwagen", M, VEHICLE),
    Noun("boat", "Boot", "Boote", N, VEHICLE),
    Noun("train", "Zug", "Züge", M, TRANSPORT),
    Noun("bus", "Bus", "Busse", M, TRANSPORT),
    Noun("tram", "Straßenbahn", "Straßenbahnen", F, TRANSPORT),
    Noun("ship", "Schiff", "Schiffe", N, TRANSPORT),
    Noun("house", "Haus", "Häuser", N, BUILDING | OWN, at="in in", to="into in"),
    Noun("school", "Schule", "Schulen", F, BUILDING, at="at in", to="to in"),
    Noun("station", "Bahnhof", "Bahnhöfe", M, BUILDING, at="at an", to="to zu"),
    Noun("airport", "Flughafen", "Flughäfen", M, BUILDING, at="at an", to="to zu"),
    Noun("cinema", "Kino", "Kinos", N, BUILDING, at="in in", to="to in"),
    Noun("theatre", "Theater", "Theater", N, BUILDING, at="in in", to="to in"),
    Noun("museum", "Museum", "Museen", N, BUILDING, at="in in", to="to in"),
    Noun("hotel", "Hotel", "Hotels", N, BUILDING, at="in in", to="to in"),
    Noun("restaurant", "Restaurant", "Restaurants", N, BUILDING, at="in in", to="to in"),
    Noun("library", "Bibliothek", "Bibliotheken", F, BUILDING, at="in in", to="to in"),
    Noun("hospital", "Krankenhaus", "Krankenhäuser", N, BUILDING, at="in in", to="to in"),
    Noun("church", "Kirche", "Kirchen", F, BUILDING, at="in in", to="to in"),
    Noun("bank", "Bank", "Banken", F, BUILDING, at="at in", to="to zu"),
    Noun("bakery", "Bäckerei", "Bäckereien", F, BUILDING, at="in in", to="to zu"),
    Noun("supermarket", "Supermarkt", "Supermärkte", M, BUILDING, at="in in", to="to in"),
    Noun("factory", "Fabrik", "Fabriken", F, BUILDING, at="in in", to="to in"),
    Noun("office", "Büro", "Büros", N, ROOM, at="in in", to="to in"),
    Noun("kitchen", "Küche", "Küchen", F, ROOM, at="in in", to="into in"),
    Noun("room", "Zimmer", "Zimmer", N, ROOM, at="in in", to="into in"),
    Noun("garden", "Garten", "Gärten", M, OUTDOORS | OWN, at="in in", to="into in"),
    Noun("park", "Park", "Parks", M, OUTDOORS, at="in in", to="to in"),
    Noun("forest", "Wald", "Wälder", M, OUTDOORS, at="in in", to="into in"),
    Noun("lake", "See", "Seen", M, OUTDOORS, at="at an", to="to an"),
    Noun("beach", "Strand", "Strände", M, OUTDOORS, at="on an", to="to an"),
    Noun("market", "Markt", "Märkte", M, OUTDOORS, at="at auf", to="to auf"),
    Noun("city", "Stadt", "Städte", F, OUTDOORS, at="in in", to="into in"),
    Noun("village", "Dorf", "Dörfer", N, OUTDOORS, at="in in", to="to in"),
    Noun("question", "Frage", "Fragen", F, LESSON | OWN),
    Noun("exercise", "Übung", "Übungen", F, LESSON),
    Noun("sentence", "Satz", "Sätze", M, LESSON | OWN),
    Noun("word", "Wort", "Wörter", N, LESSON),
    Noun("plan", "Plan", "Pläne", M, LESSON | OWN),
    Noun("film", "Film", "Filme", M, SHOW),
    Noun("play", "Theaterstück", "Theaterstücke", N, SHOW),
    Noun("song", "Lied", "Lieder", N, MUSIC),
)


@cache
def nouns(kinds: Kind) -> tuple[Noun, ...]:
    """Return all nouns of any of these kinds, in the order of the table."""
    return tuple(noun for noun in NOUNS if noun.kinds & kinds)


@cache
def adjectives(kinds: Kind) -> tuple[Adjective, ...]:
    """Return all adjectives that suit a noun of any of these kinds."""
    return tuple(adjective for adjective in ADJECTIVES if adjective.kinds & kinds)


PROFESSIONS = (
    Profession("teacher", "Lehrer", "Lehrerin"),
    Profession("doctor", "Arzt", "Ärztin"),
    Profession("cook", "Koch", "Köchin"),
    Profession("baker", "Bäcker", "Bäckerin"),
    Profession("gardener", "Gärtner", "Gärtnerin"),
    Profession("farmer", "Bauer", "Bäuerin"),
    Profession("engineer", "Ingenieur", "Ingenieurin"),
    Profession("actor", "Schauspieler", "Schauspielerin"),
)


I = PronounEntry(Person.S1, ("I", "me"), ("ich", "mich", "mir"), ("my", "mein"))  # noqa: E741
YOU = PronounEntry(Person.S2, ("you", "you"), ("du", "dich", "dir"), ("your", "dein"))
HE = PronounEntry(Person.S3, ("he", "him"), ("er", "ihn", "ihm"), ("his", "sein"))
SHE = PronounEntry(Person.S3, ("she", "her"), ("sie", "sie", "ihr"), ("her", "ihr"))
WE = PronounEntry(Person.P1, ("we", "us"), ("wir", "uns", "uns"), ("our", "unser"))
THEY = PronounEntry(Person.P3, ("they", "them"), ("sie", "sie", "ihnen"), ("their", "ihr"))

# "You" alone is always "du"; the two below occur only with a vocative, which shows the difference.
YOU_ALL = PronounEntry(Person.P2, ("you", "you"), ("ihr", "euch", "euch"), ("your", "euer"))
YOU_POLITE = PronounEntry(Person.P3, ("you", "you"), ("Sie", "Sie", "Ihnen"), ("your", "Ihr"))

# "It" has the gender of the noun it replaces.
IT_M = PronounEntry(Person.S3, ("it", "it"), ("er", "ihn", "ihm"), ("its", "sein"))
IT_F = PronounEntry(Person.S3, ("it", "it"), ("sie", "sie", "ihr"), ("its", "ihr"))
IT_N = PronounEntry(Person.S3, ("it", "it"), ("es", "es", "ihm"), ("its", "sein"))
PRONOUNS = (I, YOU, HE, SHE, WE, THEY)

POSSESSIVE_OF = {
    pronoun: Determiner(*pronoun.possessive, Paradigm.EIN, definite=True) for pronoun in PRONOUNS
}
POSSESSIVES = tuple(POSSESSIVE_OF.values())
WOMEN = ("Anna", "Maria", "Lena", "Julia", "Laura")
MEN = ("Peter", "Paul", "Martin", "David", "Tom")
SURNAMES = ("Weber", "Becker", "Neumann", "Wagner")

CITIES = (
    ("Berlin", "Berlin"),
    ("Hamburg", "Hamburg"),
    ("Vienna", "Wien"),
    ("Munich", "München"),
    ("Cologne", "Köln"),
)


ACTIVITY, EVENT, STATE = Aspect.ACTIVITY, Aspect.EVENT, Aspect.STATE


def _verb(
    en: str,
    de: str,
    objects: Kind = Kind.NONE,
    aspect: Aspect = ACTIVITY,
    *,
    case: Case = Case.ACC,
    subjects: Kind = HUMAN,
    preposition: str = "",
    willed: bool = True,
    places: bool = False,
) -> Verb:
    return Verb(
        english_verb(en),
        german_verb(de),
        objects,
        case,
        aspect,
        subjects,
        preposition=preposition,
        willed=willed,
        places=places,
    )


def _giving(en: str, de: str, objects: Kind, shifts: bool = True) -> Verb:
    return Verb(
        english_verb(en), german_verb(de), objects, aspect=EVENT, recipients=True, shifts=shifts
    )


BE = Verb(
    EnglishVerb("be", "is", "was", "been", "being"),
    irregular_verb(
        "sein", "bin bist ist sind seid sind", "war warst war waren wart waren", "gewesen"
    ),
    aspect=STATE,
)

HAVE = Verb(
    english_verb("have, had, had"),
    irregular_verb(
        "haben",
        "habe hast hat haben habt haben",
        "hatte hattest hatte hatten hattet hatten",
        "gehabt",
    ),
    GOODS | ANIMAL,
    aspect=STATE,
)

LIKE = Verb(
    english_verb("like"),
    irregular_verb(
        "mögen",
        "mag magst mag mögen mögt mögen",
        "mochte mochtest mochte mochten mochtet mochten",
        "gemocht",
    ),
    BEING | SHOW | MUSIC | TALE | PLACE,
    aspect=STATE,
)

# "have" and "be" as auxiliaries.
BE_PRESENT = ("am", "are", "is", "are", "are", "are")
BE_PAST = ("was", "were", "was", "were", "were", "were")

INTRANSITIVE = (
    _verb("sleep, slept, slept", "schlafen, schläft, geschlafen", subjects=BEING, places=True),
    _verb("work", "arbeiten", places=True),
    _verb("sing, sang, sung", "singen, singt, gesungen", places=True),
    _verb("dance", "tanzen", places=True),
    _verb("laugh", "lachen"),
    _verb("cry", "weinen", willed=False),
    _verb("play", "spielen", subjects=BEING, places=True),
    _verb("swim, swam, swum", "schwimmen, schwimmt, ist geschwommen"),
    _verb("get up, got, got", "auf|stehen, steht, ist gestanden"),
    _verb("wake up, woke, woken", "auf|wachen, wacht, ist gewacht"),
    _verb("come back, came, come", "zurück|kommen, kommt, ist gekommen", aspect=EVENT),
    _verb("fall asleep, fell, fallen", "ein|schlafen, schläft, ist geschlafen", willed=False),
)

TRANSITIVE = (
    _verb("read, read, read", "lesen, liest, gelesen", TEXT, places=True),
    _verb("write, wrote, written", "schreiben, schreibt, geschrieben", TEXT),
    _verb("translate", "übersetzen", TEXT | LESSON),
    _verb(
        "understand, understood, understood",
        "verstehen, versteht, verstanden",
        LESSON | TALE,
        STATE,
    ),
    _verb("repeat", "wiederholen, wiederholt, wiederholt", LESSON),
    _verb("eat, ate, eaten", "essen, isst, gegessen", FOOD, places=True),
    _verb("cook", "kochen", DISH),
    _verb("bake", "backen, backt, gebacken", BAKED),
    _verb("drink, drank, drunk", "trinken, trinkt, getrunken", DRINK, places=True),
    _verb("order", "bestellen", DISH | BAKED | DRINK),
    _verb("buy, bought, bought", "kaufen", GOODS | FOOD | DRINK, EVENT),
    _verb("sell, sold, sold", "verkaufen", GOODS, EVENT),
    _verb("look for", "suchen", PORTABLE | BEING),
    _verb("find, found, found", "finden, findet, gefunden", PORTABLE, EVENT),
    _verb(
        "lose, lost, lost",
        "verlieren, verliert, verloren",
        FLAT | TOOL | LUGGAGE,
        EVENT,
        willed=False,
    ),
    _verb(
        "forget, forgot, forgotten",
        "vergessen, vergisst, vergessen",
        FLAT | TOOL | LUGGAGE,
        EVENT,
        willed=False,
    ),
    _verb("hide, hid, hidden", "verstecken", PORTABLE, EVENT),
    _verb("need", "brauchen", TOOL | DEVICE | LUGGAGE | CLOTHES, STATE),
    HAVE,
    _verb("open", "auf|machen", OPENABLE),
    _verb("close", "zu|machen", OPENABLE),
    _verb("turn|on", "ein|schalten", DEVICE),
    _verb("turn|off", "aus|schalten", DEVICE),
    _verb("repair", "reparieren", DEVICE | VEHICLE),
    _verb("wash", "waschen, wäscht, gewaschen", GARMENT | VEHICLE),
    _verb("wear, wore, worn", "tragen, trägt, getragen", CLOTHES),
    _verb("put|on, put, put", "an|ziehen, zieht, gezogen", GARMENT),
    _verb("take|off, took, taken", "aus|ziehen, zieht, gezogen", GARMENT),
    _verb("throw|away, threw, thrown", "weg|werfen, wirft, geworfen", FLAT | CLOTHES, EVENT),
    _verb("clean", "putzen", ROOM | VEHICLE),
    _verb("tidy|up", "auf|räumen", ROOM),
    _verb("paint", "malen", ANIMAL | OUTDOORS | BUILDING),
    _verb("draw, drew, drawn", "zeichnen", ANIMAL | FURNITURE | VEHICLE),
    _verb("see, saw, seen", "sehen, sieht, gesehen", BEING | VEHICLE | BUILDING, EVENT),
    _verb("hear, heard, heard", "hören", MUSIC | ANIMAL),
    _verb("watch", "an|sehen, sieht, gesehen", SHOW),
    _verb("know, knew, known", "kennen, kennt, gekannt", HUMAN | PLACE | MUSIC, STATE),
    LIKE,
    _verb("love", "lieben", KIN | ANIMAL | MUSIC, STATE),
    _verb("visit", "besuchen", HUMAN | BUILDING),
    _verb("invite", "ein|laden, lädt, geladen", HUMAN),
    _verb("call", "an|rufen, ruft, gerufen", HUMAN),
    _verb("pick|up", "ab|holen", HUMAN),
    _verb("meet, met, met", "treffen, trifft, getroffen", HUMAN, places=True),
    _verb("greet", "grüßen", HUMAN),
    _verb("ask", "fragen", HUMAN),
    _verb("feed, fed, fed", "füttern", ANIMAL),
)

DATIVE = (
    _verb("help", "helfen, hilft, geholfen", HUMAN, case=Case.DAT),
    _verb("thank", "danken", HUMAN, case=Case.DAT),
    _verb("answer", "antworten", HUMAN, case=Case.DAT),
    _verb("follow", "folgen, folgt, ist gefolgt", BEING, case=Case.DAT),
    _verb("listen to", "zu|hören", HUMAN, case=Case.DAT),
    _verb("belong to", "gehören, gehört, gehört", HUMAN, STATE, case=Case.DAT, subjects=GOODS),
)

GIVING = (
    _giving("give, gave, given", "geben, gibt, gegeben", PORTABLE),
    _giving("show, showed, shown", "zeigen", PORTABLE | TEXT | ROOM),
    _giving("send, sent, sent", "schicken", TEXT | PRESENT),
    _giving("bring, brought, brought", "bringen, bringt, gebracht", FOOD | UPRIGHT | PRESENT),
    _giving("lend, lent, lent", "leihen, leiht, geliehen", TOOL | LUGGAGE | VEHICLE),
    _giving("read, read, read", "vor|lesen, liest, gelesen", TEXT),
    _giving("explain", "erklären", LESSON, shifts=False),
    _giving("recommend", "empfehlen, empfiehlt, empfohlen", TALE | SHOW, shifts=False),
)

PREPOSITIONAL = (
    _verb("wait", "warten", HUMAN | TRANSPORT, preposition="for auf"),
    _verb("think, thought, thought", "denken, denkt, gedacht", HUMAN, preposition="of an"),
    _verb(
        "speak, spoke, spoken",
        "sprechen, spricht, gesprochen",
        HUMAN,
        case=Case.DAT,
        preposition="with mit",
    ),
    _verb("dream", "träumen", BEING | VEHICLE, case=Case.DAT, preposition="of von"),
    _verb("play", "spielen", ANIMAL | PRESENT, case=Case.DAT, preposition="with mit"),
    _verb("look", "auf|passen", PERSON | ANIMAL, preposition="after auf"),
)

MOTION = (
    _verb("go, went, gone", "gehen, geht, ist gegangen"),
    _verb("drive, drove, driven", "fahren, fährt, ist gefahren"),
    _verb("run, ran, run", "laufen, läuft, ist gelaufen", subjects=BEING),
    _verb("come, came, come", "kommen, kommt, ist gekommen"),
)

# English "put" is one word; German lays flat things down and stands upright ones up.
PUTTING = (
    _verb("put, put, put", "legen", FLAT | CLOTHES, EVENT),
    _verb("put, put, put", "stellen", UPRIGHT | LUGGAGE, EVENT),
)

VERBS = INTRANSITIVE + TRANSITIVE + DATIVE + GIVING + PREPOSITIONAL + MOTION + PUTTING

# Verbs for single constructions.
BEGIN = _verb("begin, began, begun", "an|fangen, fängt, gefangen", subjects=SHOW)
LEAVE = _verb("leave, left, left", "ab|fahren, fährt, ist gefahren", subjects=TRANSPORT)
ARRIVE = _verb("arrive", "an|kommen, kommt, ist gekommen", subjects=TRANSPORT)

COST = _verb(
    "cost, cost, cost",
    "kosten",
    aspect=STATE,
    subjects=CLOTHES | UPRIGHT | TOOL | PRESENT | FOOD | DRINK,
)

KNOW_THAT = Verb(
    english_verb("know, knew, known"),
    irregular_verb("wissen", "weiß weißt weiß wissen wisst wissen", participle="gewusst"),
    aspect=STATE,
)

BELIEVE = _verb("believe", "glauben", aspect=STATE)
HOPE = _verb("hope", "hoffen", aspect=STATE)
SAY = _verb("say, said, said", "sagen")
ASK = _verb("ask", "fragen")
TRY = _verb("try", "versuchen")
DECIDE = _verb("decide", "beschließen, beschließt, beschlossen")
FORGET = _verb("forget, forgot, forgotten", "vergessen, vergisst, vergessen")
PROMISE = _verb("promise", "versprechen, verspricht, versprochen")


def _modal(
    infinitive: str, present: str, preterite: str, en: EnglishAux, *other: EnglishAux
) -> Modal:
    """Return a modal; `other` is its past, then its negation if that is not just "not"."""
    negated = other[1] if len(other) > 1 else en
    return Modal(
        irregular_verb(infinitive, present, preterite), en, negated, other[0] if other else None
    )


_HAVE_TO = EnglishAux(verb=HAVE.en, tail="to")
_WANT_TO = EnglishAux(verb=english_verb("want"), tail="to")

CAN = _modal(
    "können",
    "kann kannst kann können könnt können",
    "konnte konntest konnte konnten konntet konnten",
    EnglishAux("can"),
    EnglishAux("could"),
)

# "must not" is "nicht dürfen"; "nicht müssen" is "not have to".
MUST = _modal(
    "müssen",
    "muss musst muss müssen müsst müssen",
    "musste musstest musste mussten musstet mussten",
    EnglishAux("must"),
    _HAVE_TO,
    _HAVE_TO,
)

MAY = _modal(
    "dürfen",
    "darf darfst darf dürfen dürft dürfen",
    "durfte durftest durfte durften durftet durften",
    EnglishAux("may"),
    EnglishAux("be", tail="allowed to"),
    EnglishAux("must"),
)

WANT = _modal(
    "wollen",
    "will willst will wollen wollt wollen",
    "wollte wolltest wollte wollten wolltet wollten",
    _WANT_TO,
    _WANT_TO,
)

SHOULD = _modal(
    "sollen",
    "sollte solltest sollte sollten solltet sollten",
    "",
    EnglishAux("should"),
)

WOULD_LIKE = _modal(
    "mögen",
    "möchte möchtest möchte möchten möchtet möchten",
    "",
    EnglishAux("would", tail="like to"),
)

WILL = _modal(
    "werden",
    "werde wirst wird werden werdet werden",
    "",
    EnglishAux("will"),
)

MODALS = (CAN, MUST, MAY, WANT, SHOULD, WOULD_LIKE, WILL)


FREQUENCIES = (
    Adverb("often", "oft"),
    Adverb("always", "immer"),
    Adverb("sometimes", "manchmal"),
    Adverb("never", "nie"),
    Adverb("usually", "meistens"),
)

ALREADY = Adverb("already", "schon")
YET = Adverb("yet", "noch")

HABITS = (
    Adverb("every day", "jeden Tag"),
    Adverb("every evening", "jeden Abend"),
    Adverb("every week", "jede Woche"),
    Adverb("in_the morning", "am Morgen"),
    Adverb("in_the evening", "am Abend"),
)

PAST_TIMES = (
    Adverb("yesterday", "gestern"),
    Adverb("yesterday evening", "gestern Abend"),
    Adverb("last week", "letzte Woche"),
    Adverb("last year", "letztes Jahr"),
    Adverb("an_hour_ago", "vor_einer_Stunde"),
    Adverb("three_days_ago", "vor_drei_Tagen"),
)

WEEKDAYS = (
    Adverb("on Monday", "am Montag"),
    Adverb("on Tuesday", "am Dienstag"),
    Adverb("on Wednesday", "am Mittwoch"),
    Adverb("on Thursday", "am Donnerstag"),
    Adverb("on Friday", "am Freitag"),
    Adverb("on Saturday", "am Samstag"),
    Adverb("on Sunday", "am Sonntag"),
)

TODAY = Adverb("today", "heute")

FUTURE_TIMES = (
    TODAY,
    Adverb("tomorrow", "morgen"),
    Adverb("tonight", "heute_Abend"),
    Adverb("next week", "nächste Woche"),
    *WEEKDAYS,
)

AT_HOME = Adverb("at home", "zu Hause")
HOMEWARDS = Adverb("home", "nach_Hause")

# Adverbs of manner with the English verbs they suit.
MANNERS = (
    (Adverb("slowly", "langsam"), ("eat", "drink", "read", "write", "go", "drive", "run")),
    (Adverb("quickly", "schnell"), ("eat", "drink", "run", "swim", "open", "close", "drive")),
    (Adverb("quietly", "leise"), ("sing", "cry", "open", "close", "speak", "play")),
    (Adverb("loudly", "laut"), ("sing", "laugh", "cry")),
    (Adverb("carefully", "vorsichtig"), ("open", "close", "drive", "repair", "wash", "put")),
    (Adverb("patiently", "geduldig"), ("wait", "explain", "help")),
)

# (where something lies or stands, English preposition, German one)
SURFACES = (
    ("on", "auf"),
    ("under", "unter"),
    ("next to", "neben"),
    ("behind", "hinter"),
    ("in front of", "vor"),
)

# What a mood makes people do (by the English verb): reasons for "because".
MOTIVES = (
    (Adverb("tired", "müde"), ("sleep", "go", "drink", "come")),
    (Adverb("hungry", "hungrig"), ("eat", "cook", "order", "bake")),
    (Adverb("sad", "traurig"), ("cry", "write", "call", "drink")),
    (Adverb("happy", "glücklich"), ("sing", "dance", "laugh", "greet", "invite")),
    (Adverb("lazy", "faul"), ("sleep", "watch", "wake")),
    (Adverb("ill", "krank"), ("sleep", "call", "drive")),
)

# What people do in spite of a mood: for "although".
OBSTACLES = tuple(
    (mood, ("work", "swim", "read", "clean", "tidy", "help", "repair", "get", "visit", "wash"))
    for mood in (Adverb("tired", "müde"), Adverb("lazy", "faul"), Adverb("ill", "krank"))
)

# The same in German main and subordinate clauses, as they consist of subject and verb only.
WEATHER = (
    Adverb("it rains", "es regnet"),
    Adverb("it snows", "es schneit"),
    Adverb("the sun shines", "die Sonne scheint"),
)
