// The choice of languages: the targets depend on the source.

const AUTO = "auto";

/** @typedef {{code: string, name: string, targets: string[]}} Language */

export class Languages {
  /** @type {string | null} */ #detected = null;

  /**
   * @param {{source: HTMLSelectElement, target: HTMLSelectElement, swap: HTMLButtonElement}} elements
   * @param {Language[]} languages
   * @param {{source: {code: string}, target: {code: string}}} defaults
   */
  constructor(elements, languages, defaults) {
    Object.assign(this, elements);
    this.languages = languages;
    const sources = languages.filter((language) => language.targets.length);
    fill(this.source, [{ code: AUTO, name: "Auto detect" }, ...sources]);
    this.set(defaults.source.code, defaults.target.code);
    this.source.addEventListener("change", () => this.set(this.source.value, this.target.value));
    this.target.addEventListener("change", () => this.#update());
  }

  /** Choose languages, as far as they exist. */
  set(source, target) {
    choose(this.source, source);
    this.#detected = null;
    const all = this.languages.flatMap((language) => language.targets);
    const codes = this.isAuto ? new Set(all) : new Set(this.#targetsOf(this.source.value));
    fill(this.target, [...codes].map((code) => ({ code, name: this.nameOf(code) })));
    choose(this.target, target);
    this.#update();
  }

  /** Note the language that the server detected. @param {string | null} code */
  detect(code) {
    this.#detected = code;
    this.#update();
  }

  /** Swap the languages. */
  swapped() {
    this.set(this.target.value, this.from);
  }

  get isAuto() {
    return this.source.value === AUTO;
  }

  /** The language of the text; `auto` if it is unknown. */
  get from() {
    return this.isAuto ? (this.#detected ?? AUTO) : this.source.value;
  }

  nameOf(code) {
    return this.languages.find((language) => language.code === code)?.name ?? code;
  }

  #targetsOf(code) {
    return this.languages.find((language) => language.code === code)?.targets ?? [];
  }

  #update() {
    this.swap.disabled = !this.#targetsOf(this.target.value).includes(this.from);
  }
}

function fill(select, languages) {
  select.replaceChildren(...languages.map(({ code, name }) => new Option(name, code)));
}

function choose(select, code) {
  if ([...select.options].some((option) => option.value === code)) select.value = code;
}
