// A menu below a word, for pointer and keyboard.

/**
 * Show a menu, and return what was chosen.
 * @template T
 * @param {HTMLElement} menu a popover.
 * @param {HTMLElement} anchor the word. The browser focuses again what was focused before.
 * @param {T[]} choices
 * @param {(choice: T) => {label: string, note: string, more: string, checked: boolean}} describe
 * @returns {Promise<T | null>} null if the menu was closed without a choice.
 */
export function choose(menu, anchor, choices, describe) {
  return new Promise((resolve) => {
    let chosen = null;
    const done = new AbortController();
    const { signal } = done;
    const items = choices.map((choice) => item(describe(choice)));
    const close = () => menu.hidePopover();
    menu.replaceChildren(...items);
    menu.showPopover();
    place(menu, anchor);
    anchor.setAttribute("aria-expanded", "true");
    (items.find((each) => each.getAttribute("aria-checked") === "true") ?? items[0]).focus();

    items.forEach((each, index) => {
      const pick = () => {
        chosen = choices[index];
        close();
      };
      each.addEventListener("click", pick, { signal });
    });
    menu.addEventListener("keydown", (event) => onKey(event, items, close), { signal });
    for (const moved of ["resize", "scroll"]) {
      window.addEventListener(moved, () => place(menu, anchor), { signal });
    }
    // However it was closed: by a choice, Escape, or a click elsewhere.
    const onToggle = ({ newState }) => {
      if (newState !== "closed") return;
      done.abort();
      anchor.removeAttribute("aria-expanded");
      resolve(chosen);
    };
    menu.addEventListener("toggle", onToggle, { signal });
  });
}

function item({ label, note, more, checked }) {
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.setAttribute("role", "menuitemradio");
  button.setAttribute("aria-checked", String(checked));
  for (const [name, text] of Object.entries({ label, note, more })) {
    const part = document.createElement("span");
    part.className = name;
    part.dir = "auto";
    part.textContent = text;
    button.append(part, " ");
  }
  return button;
}

/** Below the word, or above it if there is no room, and inside the window. */
function place(menu, anchor) {
  const gap = 6;
  const word = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(word.left, document.documentElement.clientWidth - width - gap);
  const below = word.bottom + gap;
  const top = below + height <= window.innerHeight ? below : word.top - gap - height;
  menu.style.left = `${Math.max(gap, left)}px`;
  menu.style.top = `${Math.max(gap, top)}px`;
}

function onKey(event, items, close) {
  const place = items.indexOf(document.activeElement);
  const places = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: -1 };
  if (event.key in places) items.at(places[event.key] % items.length).focus();
  else if (event.key === "Tab") close();
  else return;
  event.preventDefault();
}
