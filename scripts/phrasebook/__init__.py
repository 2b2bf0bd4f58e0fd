"""The grammar behind the demo corpus: a synchronous grammar of English and German.

It draws a random tree and spells it out twice, by the rules of each language (`tree`).
`python -m phrasebook` writes the result to the file that nmt ships.

    inflection < lexicon < tree < lines < drawing < constructions < splits
"""
