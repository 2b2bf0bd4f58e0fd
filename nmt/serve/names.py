"""English names of languages."""

from __future__ import annotations

_NAMES = """
af Afrikaans, ar Arabic, az Azerbaijani, be Belarusian, bg Bulgarian, bn Bengali, bs Bosnian, ca
Catalan, cs Czech, cy Welsh, da Danish, de German, el Greek, en English, eo Esperanto, es Spanish,
et Estonian, eu Basque, fa Persian, fi Finnish, fr French, ga Irish, gl Galician, gu Gujarati, he
Hebrew, hi Hindi, hr Croatian, hu Hungarian, hy Armenian, id Indonesian, is Icelandic, it Italian,
ja Japanese, ka Georgian, kk Kazakh, km Khmer, kn Kannada, ko Korean, ky Kyrgyz, la Latin, lt
Lithuanian, lv Latvian, mk Macedonian, ml Malayalam, mn Mongolian, mr Marathi, ms Malay, mt
Maltese, my Burmese, nb Norwegian Bokmål, ne Nepali, nl Dutch, nn Norwegian Nynorsk, no Norwegian,
pa Punjabi, pl Polish, pt Portuguese, ro Romanian, ru Russian, si Sinhala, sk Slovak, sl
Slovenian, sq Albanian, sr Serbian, sv Swedish, sw Swahili, ta Tamil, te Telugu, th Thai, tl
Tagalog, tr Turkish, uk Ukrainian, ur Urdu, uz Uzbek, vi Vietnamese, zh Chinese, zu Zulu
"""
_BY_CODE: dict[str, str] = dict(entry.split(maxsplit=1) for entry in _NAMES.split(","))


def language_name(code: str) -> str:
    """Return the name of a language, or its code if nmt has no name for it."""
    language, _, region = code.replace("_", "-").partition("-")
    name = _BY_CODE.get(language.lower(), language)
    return f"{name} ({region})" if region else name
