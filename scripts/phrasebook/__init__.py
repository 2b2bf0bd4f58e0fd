"""The grammar behind the demo corpus: a synchronous grammar of English and German.

It draws a tree at random and spells it twice, once by the rules of each language (`tree`).
`python -m phrasebook` writes what it draws to the file that nmt ships.

    inflection < lexicon < tree < lines < drawing < constructions < splits
"""
