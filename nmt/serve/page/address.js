// The part of the address after #, which keeps languages and text: #en/de/text.

/** Return what the address says, or null. */
export function readAddress() {
  const parts = location.hash.match(/^#([^/]*)\/([^/]*)\/(.*)$/s);
  if (!parts) return null;
  const [source, target, text] = parts.slice(1).map(decode);
  return { source, target, text };
}

/** Change the address without a further entry in the history. */
export function writeAddress({ source, target, text }) {
  const hash = `#${[source, target, text].map(encodeURIComponent).join("/")}`;
  if (hash !== location.hash) history.replaceState(history.state, "", hash);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}
