// What the browser remembers. Storage may be forbidden; then nothing is remembered.

/** @param {"localStorage" | "sessionStorage"} kind */
export function recall(kind, key) {
  try {
    return window[kind].getItem(key);
  } catch {
    return null;
  }
}

/** @param {"localStorage" | "sessionStorage"} kind */
export function remember(kind, key, value) {
  try {
    window[kind].setItem(key, value);
  } catch {
    // forbidden or full
  }
}
