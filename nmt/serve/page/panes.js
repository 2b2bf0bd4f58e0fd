// The words of both panes: which translate each other, highlighting, and moving by keyboard.
//
// A textarea cannot show highlighted words. So a mirror lies behind it, with the same text in the same
// places, and it also makes the textarea as high as its text.

import { drawLines } from "./lines.js";
import { overlap, wordSpans } from "./words.js";

/** @typedef {import("./words.js").Segment} Segment */

/**
 * A word on the page.
 * @typedef {object} Word
 * @property {HTMLElement} element
 * @property {Segment} segment
 * @property {import("./words.js").Span} span its place in `src` or `tgt` of the segment.
 * @property {Set<Word>} partners
 */

export class Panes {
  /** @type {Word[]} */ #src = [];
  /** @type {Word[]} */ #tgt = [];
  /** @type {Word | null} */ #shown = null;
  /** @type {Word | null} */ #atCaret = null;

  /**
   * @param {{text: HTMLTextAreaElement, mirror: HTMLElement, output: HTMLElement, lines: SVGElement}} elements
   * @param {(word: Word) => void} onChoose is called for a word of the translation.
   */
  constructor(elements, onChoose) {
    Object.assign(this, elements);
    this.onChoose = onChoose;
    this.drawn = false;
    this.#listenToSource();
    this.#listenToOutput();
    new ResizeObserver(() => this.#draw()).observe(this.lines);
  }

  /** Show a text that is not translated yet. */
  showSource(text) {
    this.#show(null);
    this.#atCaret = null;
    this.#src = [];
    for (const word of this.#tgt) word.partners.clear();
    this.mirror.replaceChildren(padded(text));
    this.#draw();
  }

  /** Show a translation. @param {Segment[]} segments @param {string} after */
  showTranslation(segments, after) {
    const focused = this.#tgt.findIndex((word) => word.element === document.activeElement);
    this.#show(null);
    this.#atCaret = null;
    const source = padded(this.text.value);
    this.#src = fill(this.mirror, source, placedSources(segments), plainWord);
    const translation = segments.map((each) => each.before + each.tgt).join("") + after;
    this.#tgt = fill(this.output, translation, placedTranslations(segments), wordButton);
    this.#link();
    if (this.#tgt.length) this.#tgt[0].element.tabIndex = 0;
    if (focused >= 0) this.#focus(focused);
    this.#draw();
  }

  /** Focus the first word of a segment's translation that ends after a place. */
  focusWord(segment, place) {
    this.#focus(this.#tgt.findIndex((word) => word.segment === segment && word.span[1] > place));
  }

  /** Draw lines between the panes, or no longer. @param {boolean} drawn */
  setDrawn(drawn) {
    this.drawn = drawn;
    this.#draw();
  }

  #link() {
    const sources = bySegment(this.#src);
    for (const tgt of this.#tgt) {
      for (const [srcSpan, tgtSpan] of tgt.segment.links) {
        if (!overlap(tgtSpan, tgt.span)) continue;
        for (const src of sources.get(tgt.segment) ?? []) {
          if (!overlap(srcSpan, src.span)) continue;
          src.partners.add(tgt);
          tgt.partners.add(src);
        }
      }
    }
  }

  /** Highlight a word and its partners, or none. @param {Word | null} word */
  #show(word) {
    if (word === this.#shown) return;
    for (const old of related(this.#shown)) old.element.classList.remove("linked");
    for (const now of related(word)) now.element.classList.add("linked");
    this.#shown = word;
    this.#draw();
  }

  #draw() {
    if (!this.drawn) return this.lines.replaceChildren();
    const links = this.#src.flatMap((src) =>
      [...src.partners].map((tgt) => ({
        from: src.element,
        to: tgt.element,
        strong: src === this.#shown || tgt === this.#shown,
      })),
    );
    return drawLines(this.lines, links);
  }

  #listenToSource() {
    const { text } = this;
    const showCaret = () => {
      const place = text.selectionStart;
      this.#atCaret =
        this.#src.find(({ segment, span: [start, end] }) => {
          const begin = segment.srcStart;
          return begin + start <= place && place <= begin + end;
        }) ?? null;
      this.#show(this.#atCaret);
    };
    text.addEventListener("pointermove", (event) => this.#show(this.#under(event) ?? this.#atCaret));
    text.addEventListener("pointerleave", () => this.#show(this.#atCaret));
    text.addEventListener("click", showCaret);
    text.addEventListener("keyup", (event) => {
      if (/^(Arrow|Home|End|Page)/.test(event.key)) showCaret();
    });
    text.addEventListener("blur", () => {
      this.#atCaret = null;
      this.#show(null);
    });
  }

  /** Return the source word under the pointer; the textarea itself does not tell. */
  #under({ clientX: x, clientY: y }) {
    return this.#src.find(({ element }) =>
      [...element.getClientRects()].some(
        (box) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom,
      ),
    );
  }

  #listenToOutput() {
    const { output } = this;
    const wordOf = (event) => this.#tgt.find((word) => word.element === event.target) ?? null;
    output.addEventListener("pointerover", (event) => this.#show(wordOf(event)));
    output.addEventListener("pointerleave", () => this.#show(null));
    output.addEventListener("focusin", (event) => {
      this.#show(wordOf(event));
      for (const word of this.#tgt) word.element.tabIndex = word === this.#shown ? 0 : -1;
    });
    output.addEventListener("focusout", () => this.#show(null));
    output.addEventListener("click", (event) => {
      const word = wordOf(event);
      // The end of a selection by pointer is no click on a word.
      if (word && getSelection().isCollapsed) this.onChoose(word);
    });
    output.addEventListener("keydown", (event) => this.#onKey(event, wordOf(event)));
  }

  /** @param {KeyboardEvent} event @param {Word | null} word */
  #onKey(event, word) {
    if (!word || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = this.#tgt.indexOf(word);
    const forward = getComputedStyle(this.output).direction === "rtl" ? -1 : 1;
    const last = this.#tgt.length - 1;
    const places = {
      ArrowRight: place + forward,
      ArrowLeft: place - forward,
      ArrowDown: this.#below(place, 1),
      ArrowUp: this.#below(place, -1),
      Home: 0,
      End: last,
    };
    if (event.key in places) this.#focus(Math.max(0, Math.min(places[event.key], last)));
    else if (event.key === "Enter" || event.key === " ") this.onChoose(word);
    else return;
    event.preventDefault();
  }

  /** Return the number of the nearest word in the next line (step 1) or the one before (-1). */
  #below(place, step) {
    const box = this.#tgt[place].element.getBoundingClientRect();
    let [best, line, distance] = [place, null, Infinity];
    for (let next = place + step; this.#tgt[next]; next += step) {
      const other = this.#tgt[next].element.getBoundingClientRect();
      if (Math.abs(other.top - box.top) < box.height / 2) continue;
      line ??= other.top;
      if (Math.abs(other.top - line) > box.height / 2) break;
      const gap = Math.abs(other.left + other.right - box.left - box.right);
      if (gap < distance) [best, distance] = [next, gap];
    }
    return best;
  }

  #focus(place) {
    this.#tgt[Math.min(place, this.#tgt.length - 1)]?.element.focus();
  }
}

/**
 * Fill an element with a text, with an element for each word of the segments.
 * @param {[Segment, number, string][]} placed segments, where they begin, and their text there.
 * @returns {Word[]}
 */
function fill(parent, text, placed, makeElement) {
  const words = [];
  const nodes = [];
  let end = 0;
  for (const [segment, start, part] of placed) {
    for (const span of wordSpans(part)) {
      const element = makeElement();
      element.textContent = part.slice(...span);
      nodes.push(text.slice(end, start + span[0]), element);
      end = start + span[1];
      words.push({ element, segment, span, partners: new Set() });
    }
  }
  nodes.push(text.slice(end));
  parent.replaceChildren(...nodes.filter(Boolean));
  return words;
}

/** A last line feed takes no room in an element unless something follows it. */
function padded(text) {
  return text.endsWith("\n") || !text ? `${text} ` : text;
}

function related(word) {
  return word ? [word, ...word.partners] : [];
}

/** @param {Word[]} words @returns {Map<Segment, Word[]>} */
function bySegment(words) {
  const groups = new Map(words.map((word) => [word.segment, []]));
  for (const word of words) groups.get(word.segment).push(word);
  return groups;
}

function placedSources(segments) {
  return segments.filter((s) => s.srcStart >= 0).map((s) => [s, s.srcStart, s.src]);
}

function placedTranslations(segments) {
  let end = 0;
  return segments.map((segment) => {
    const start = end + segment.before.length;
    end = start + segment.tgt.length;
    return [segment, start, segment.tgt];
  });
}

function plainWord() {
  return document.createElement("span");
}

/** Not a `<button>`, whose text cannot be selected with that around it. */
function wordButton() {
  const element = document.createElement("span");
  element.tabIndex = -1;
  element.setAttribute("role", "button");
  element.setAttribute("aria-haspopup", "menu");
  return element;
}
