"""XLIFF 1.2 and 2: units without a translation get one, with a state that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, balanced
from nmt.documents.xml_document import (
    Element,
    Single,
    XmlDocument,
    content_of,
    fill,
    local_name,
)
from nmt.errors import DataError

_MAX_DEPTH = 300
"""More than lxml reads."""
_OPENING = {"bpt": "id", "bx": "id", "sc": "id", "sm": "id"}
_CLOSING = {"ept": "id", "ex": "id", "ec": "startRef", "em": "startRef"}
_UNTRANSLATED = {None, "new", "needs-translation", "initial"}


def read(content: bytes, name: str) -> XmlDocument:
    """Return the XLIFF of a file.

    Raises:
        DataError: if it is not well-formed, or not XLIFF 1 or 2.
    """
    document = XmlDocument(content, name)
    version = str(document.root.get("version", ""))[:1]
    if local_name(document.root) != "xliff" or version not in ("1", "2"):
        raise DataError(f"{name}:{document.root.sourceline}: not XLIFF 1.2 or 2")
    units = _units_of_1(document.root) if version == "1" else _units_of_2(document.root)
    for unit in units:
        _add(document, unit, version)
    return document


def _units_of_1(root: Element) -> Iterator[Element]:
    for unit in root.iter("{*}trans-unit"):
        if unit.get("approved") != "yes" and _is_translatable(unit):
            yield unit


def _units_of_2(root: Element) -> Iterator[Element]:
    for segment in root.iter("{*}segment"):
        if segment.get("state") in _UNTRANSLATED and _is_translatable(segment):
            yield segment


def _is_translatable(unit: Element) -> bool:
    """Return whether the nearest `translate` around a unit allows its translation."""
    values = (each.get("translate") for each in (unit, *unit.iterancestors()))
    return next((value for value in values if value), "yes") != "no"


def _add(document: XmlDocument, unit: Element, version: str) -> None:
    """Add the source of a unit, unless it has a translation."""
    children = {local_name(child): child for child in unit.iterchildren("{*}*")}
    source, target = children.get("source"), children.get("target")
    if source is None:
        return
    if target is not None and target.get("state") not in _UNTRANSLATED:
        return
    if target is not None and "".join(target.itertext()).strip() and target.get("state") is None:
        return
    before = children.get("seg-source", source)

    def write(pieces: Any) -> None:
        place = target
        if place is None:
            place = next((c for c in unit if local_name(c) == "target"), None)
        if place is None:
            place = etree.Element(etree.QName(etree.QName(source).namespace, "target"))
            indent = before.tail
            before.addnext(place)
            before.tail = place.tail = indent
        fill(place, pieces)
        if version == "1":
            place.set("state", "needs-review-translation")
            place.set("state-qualifier", "mt-suggestion")
        else:
            unit.set("state", "translated")

    pieces = balanced(content_of(source, _piece), _pair_name, _MAX_DEPTH)
    document.add(pieces, write)


def _piece(element: Element) -> Piece | None:
    """Return what stands for an inline element; None for a pair of tags."""
    name = local_name(element)
    if name in _OPENING:
        return Open(Single(element))
    if name in _CLOSING:
        return Close(Single(element))
    if name in ("g", "pc", "mrk"):
        is_kept = element.get("translate") == "no" or element.get("mtype") == "protected"
        text = "".join(element.itertext())
        return (Fixed(text, element) if text.strip() else Empty(element)) if is_kept else None
    return Empty(element)


def _pair_name(tag: Element | Single) -> str:
    """Return what the two tags of a pair have in common."""
    if not isinstance(tag, Single):
        return f"element {id(tag)}"
    element, name = tag.element, local_name(tag.element)
    key = element.get("rid") or element.get(_OPENING.get(name) or _CLOSING[name])
    return f"pair {key}"
