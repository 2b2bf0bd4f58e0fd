// Words of a text, and how the words of a source and its translation are linked. Nothing here knows
// the page.

/** Start and end of a part of a string, in UTF-16 units. @typedef {[number, number]} Span */

/**
 * A part of the text that was translated as one piece.
 * @typedef {object} Segment
 * @property {string} src
 * @property {string} tgt
 * @property {number} srcStart where it begins in the source; -1 if it is not there.
 * @property {string} before what stands between it and the segment before in the translation.
 * @property {[Span, Span][]} links parts of `src` and `tgt` that translate each other.
 */

/**
 * Return the words of a text, split as `nmt.translate.words` does: at white space, with punctuation
 * at either end of a word as a word of its own.
 * @returns {Span[]}
 */
export function wordSpans(text) {
  const spans = [];
  for (const { 0: chunk, index } of text.matchAll(/\S+/gu)) {
    const [, before, word, after] = chunk.match(/^(\p{P}*)(.*?)(\p{P}*)$/su);
    let start = index;
    for (const part of [before, word, after]) {
      if (part) spans.push([start, start + part.length]);
      start += part.length;
    }
  }
  return spans;
}

/** Return a function from the server's offsets, which count characters, to those of a string. */
export function utf16(text) {
  const offsets = [0];
  for (const character of text) offsets.push(offsets.at(-1) + character.length);
  return (place) => offsets[Math.min(place, offsets.length - 1)];
}

/**
 * Find the server's segments in the source and the translation.
 * @param {{src: string, tgt: string, alignment?: [Span, Span][]}[] | null} [answer] the server's
 *   segments; without them, all is one segment.
 * @returns {{segments: Segment[], after: string}} with the text after the last segment.
 */
export function arrange(source, translation, answer) {
  const segments = [];
  let [srcEnd, tgtEnd] = [0, 0];
  for (const { src, tgt, alignment = [] } of answer ?? []) {
    const [srcStart, tgtStart] = [source.indexOf(src, srcEnd), translation.indexOf(tgt, tgtEnd)];
    if (tgtStart < 0) return whole(source, translation);
    const [srcPlace, tgtPlace] = [utf16(src), utf16(tgt)];
    const links = alignment.map(([s, t]) => [s.map(srcPlace), t.map(tgtPlace)]);
    segments.push({ src, tgt, srcStart, before: translation.slice(tgtEnd, tgtStart), links });
    if (srcStart >= 0) srcEnd = srcStart + src.length;
    tgtEnd = tgtStart + tgt.length;
  }
  return segments.length
    ? { segments, after: translation.slice(tgtEnd) }
    : whole(source, translation);
}

function whole(source, translation) {
  const segment = { src: source, tgt: translation, srcStart: 0, before: "", links: [] };
  return { segments: [segment], after: "" };
}

/** Return a segment with another translation, whose first characters are those of the old one. */
export function replaceTranslation(segment, tgt, same) {
  return { ...segment, tgt, links: segment.links.filter(([, [, end]]) => end <= same) };
}

/** Return whether two spans have a character in common. @param {Span} a @param {Span} b */
export function overlap(a, b) {
  return a[0] < b[1] && b[0] < a[1];
}

/**
 * Read a glossary: one term per line, `house = Haus, Hauses`.
 * @returns {{terms: string[][], wrong: number | null}} each term with its translations, and the
 *   number of the first line that is none.
 */
export function readGlossary(text) {
  const terms = [];
  let wrong = null;
  text.split("\n").forEach((line, index) => {
    if (!line.trim()) return;
    const [, source = "", forms = ""] = line.match(/^([^=]*)=(.*)$/) ?? [];
    const term = [source, ...forms.split(",")].map((part) => part.trim());
    if (term.every(Boolean)) terms.push(term);
    else wrong ??= index + 1;
  });
  return { terms, wrong };
}
