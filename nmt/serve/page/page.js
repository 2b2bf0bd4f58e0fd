// The page of `nmt serve`: translation while typing, and all that belongs to it.

import { readAddress, writeAddress } from "./address.js";
import { RequestError, get, post } from "./api.js";
import { setUpFiles } from "./files.js";
import { Languages } from "./languages.js";
import { choose } from "./menu.js";
import { Panes } from "./panes.js";
import { recall, remember } from "./storage.js";
import { arrange, readGlossary, replaceTranslation, utf16 } from "./words.js";

/** All elements that have an id, by id. */
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
const panes = new Panes(page, offerAlternatives);

let settings;
let languages;
let timer; // of the next translation
let requests = new AbortController(); // those for the text as it is now
let asking = new AbortController(); // the last question for alternatives
/** @type {{source: string, segments: import("./words.js").Segment[], after: string}} */
let shown = { source: "", segments: [], after: "" };

// ---------------------------------------------------------------- translation

/** Translate the text after a pause, in place of what is being translated. */
function translateSoon(pause = settings.frontendTimeout) {
  clearTimeout(timer);
  requests.abort();
  requests = new AbortController();
  const { signal } = requests; // whatever is aborted never changes the page again
  panes.showSource(page.text.value);
  showCount();
  timer = setTimeout(() => attempt(signal, () => translate(signal)), pause);
}

async function translate(signal) {
  const text = page.text.value;
  const [source, target] = [page.source.value, page.target.value];
  writeAddress({ source, target, text });
  say("");
  const problem = problemWith(text);
  if (problem || !text.trim()) {
    clear();
    say(problem, true);
    return;
  }
  const { terms } = readGlossary(page.glossary.value);
  const body = { q: text, source, target, format: "text", alignment: true, ...apiKey() };
  if (terms.length) body.glossary = terms;
  page.output.classList.add("busy");
  let answer;
  try {
    answer = await post("translate", body, { signal, onWait: (why) => say(why, true) });
  } catch (error) {
    if (!signal.aborted) clear(); // what is there is the translation of another text
    throw error;
  }
  if (signal.aborted) return;
  say("");
  showAnswer(text, answer);
}

/** Run a step, and show its error unless nobody waits for it any more. */
async function attempt(signal, step) {
  try {
    await step();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof RequestError)) throw error;
    page.output.classList.remove("busy");
    say(error.message, true);
  }
}

function clear() {
  showAnswer("", { translatedText: "" });
}

function showAnswer(text, { translatedText, segments, detectedLanguage }) {
  const detected = detectedLanguage?.language ?? null;
  if (languages.isAuto) languages.detect(detected);
  const name = detected && languages.nameOf(detected);
  page.detected.textContent = name ? `Detected: ${name}` : "";
  page.output.classList.remove("busy");
  show({ source: text, ...arrange(text, translatedText, segments) });
}

/** Show segments and their translation. */
function show(arranged) {
  shown = arranged;
  page.output.lang = page.live.lang = page.target.value;
  page.text.lang = languages.from === "auto" ? "" : languages.from;
  panes.showTranslation(shown.segments, shown.after);
  page.live.textContent = translation();
  page.copy.disabled = !translation();
}

function translation() {
  return shown.segments.map(({ before, tgt }) => before + tgt).join("") + shown.after;
}

function problemWith(text) {
  if (settings.keyRequired && !page.key.value) return text && "Enter an API key.";
  const excess = [...text].length - settings.charLimit;
  if (settings.charLimit < 0 || excess <= 0) return "";
  return `The text is ${excess.toLocaleString("en")} character${excess > 1 ? "s" : ""} too long.`;
}

function apiKey() {
  return page.key.value ? { api_key: page.key.value } : {};
}

// ---------------------------------------------------------------- alternatives

/** Offer other words in place of one of the translation. @param {import("./panes.js").Word} word */
function offerAlternatives({ element, segment, span }) {
  asking.abort();
  asking = new AbortController();
  const signal = AbortSignal.any([requests.signal, asking.signal]);
  attempt(signal, async () => {
    const prefix = segment.tgt.slice(0, span[0]);
    const body = { q: segment.src, source: languages.from, target: page.target.value, prefix };
    const options = { signal, onWait: (why) => say(why, true) };
    const { alternatives } = await post("alternatives", { ...body, ...apiKey() }, options);
    if (signal.aborted || !element.isConnected) return;
    say(alternatives.length ? "" : "There are no other words here.");
    if (!alternatives.length) return;
    const chosen = await choose(page.menu, element, alternatives, (each) => describe(each, segment));
    const isOther = chosen && chosen.text !== segment.tgt;
    if (isOther && !signal.aborted) replace(segment, chosen);
  });
}

function describe({ word, probability, text, start }, segment) {
  const end = utf16(text)(start) + word.length;
  return {
    label: word || "(end)",
    note: probability < 0.01 ? "< 1 %" : `${Math.round(100 * probability)} %`,
    more: text.slice(end).trim(),
    checked: text === segment.tgt,
  };
}

function replace(segment, { text, start }) {
  const place = utf16(text)(start);
  const replaced = replaceTranslation(segment, text, place);
  const segments = shown.segments.map((each) => (each === segment ? replaced : each));
  show({ ...shown, segments });
  panes.focusWord(replaced, place);
}

// ---------------------------------------------------------------- the rest of the page

function say(message, isError = false) {
  page.message.textContent = message;
  page.message.classList.toggle("error", isError);
}

function showCount() {
  const [count, limit] = [[...page.text.value].length, settings.charLimit];
  const numbers = [count, ...(limit < 0 ? [] : [limit])].map((n) => n.toLocaleString("en"));
  page.count.textContent = numbers.join(" / ");
  page.count.classList.toggle("error", limit >= 0 && count > limit);
}

function showGlossary() {
  const { terms, wrong } = readGlossary(page.glossary.value);
  let hint = "One term per line, with the forms that its translation may have";
  if (terms.length) hint = terms.length === 1 ? "1 term" : `${terms.length} terms`;
  if (wrong) hint = `Line ${wrong} is left out: it is not like “house = Haus, Hauses”.`;
  page["glossary-hint"].textContent = hint;
  page["glossary-hint"].classList.toggle("error", wrong !== null);
  page.glossary.setAttribute("aria-invalid", String(wrong !== null));
}

function swap() {
  const text = translation();
  languages.swapped();
  // Text that was entered since is not lost.
  if (text && shown.source === page.text.value) page.text.value = text;
  translateSoon(0);
}

async function copy() {
  const label = page.copy.firstElementChild;
  label.textContent = (await copied(translation())) ? "Copied" : "Not copied";
  setTimeout(() => (label.textContent = "Copy"), 1500);
}

/** Copy a text, and return whether that worked. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard without HTTPS. The words are selected for the old way.
    getSelection().selectAllChildren(page.output);
    return document.execCommand("copy");
  }
}

function showAddress() {
  const found = readAddress();
  if (!found) return;
  languages.set(found.source, found.target);
  page.text.value = found.text;
}

function setUpKey() {
  page["key-row"].hidden = !settings.keyRequired;
  page.key.value = (settings.keyRequired && recall("sessionStorage", "key")) || "";
  page.key.addEventListener("input", () => {
    remember("sessionStorage", "key", page.key.value);
    translateSoon();
  });
}

function listen() {
  page.text.addEventListener("input", () => translateSoon());
  page.glossary.addEventListener("input", () => {
    showGlossary();
    translateSoon();
  });
  page.source.addEventListener("change", () => translateSoon(0));
  page.target.addEventListener("change", () => translateSoon(0));
  page.swap.addEventListener("click", swap);
  page.copy.addEventListener("click", copy);
  page.draw.checked = recall("localStorage", "lines") === "true";
  panes.setDrawn(page.draw.checked);
  page.draw.addEventListener("change", () => {
    remember("localStorage", "lines", page.draw.checked);
    panes.setDrawn(page.draw.checked);
  });
  window.addEventListener("hashchange", () => {
    showAddress();
    translateSoon(0);
  });
}

async function start() {
  const options = { onWait: (why) => say(why, true) };
  const paths = ["frontend/settings", "languages"];
  const [found, offered] = await Promise.all(paths.map((path) => get(path, options)));
  say("");
  settings = found;
  languages = new Languages(page, offered, settings.language);
  setUpKey();
  if (settings.filesTranslation) {
    setUpFiles(page, settings.supportedFilesFormat, () => {
      return { source: page.source.value, target: page.target.value, ...apiKey() };
    });
  }
  showAddress();
  showGlossary();
  listen();
  translateSoon(0);
}

attempt(new AbortController().signal, start);
