// Saves a figure of the page as a self-contained SVG file.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const CAPTION_HEIGHT = 28;
const PAPER_MARGIN = 10;
const KEPT_STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-opacity",
  "stroke-width",
  "stroke-dasharray",
  "font-family",
  "font-size",
  "font-weight",
];

/** Copy the computed styles of an element and its descendants into attributes of its copy. */
function keepStyles(shown, copy) {
  const style = getComputedStyle(shown);
  for (const name of KEPT_STYLES) copy.setAttribute(name, style.getPropertyValue(name));
  for (const name of ["class", "style"]) copy.removeAttribute(name);
  [...shown.children].forEach((child, place) => keepStyles(child, copy.children[place]));
}

/**
 * Return the figure as an SVG file, in the colours for paper and with a caption above it.
 * caption: parts of the caption, each [text, style].
 */
function standalone(svg, caption, title, description) {
  document.documentElement.classList.add("paper");
  const copy = svg.cloneNode(true);
  const heading = draw("text", { x: 0, y: 0, "font-size": 14 });
  heading.append(...caption.map(([text, style]) => draw("tspan", { style }, text)));
  svg.append(heading);
  const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
  const whole = Math.ceil(Math.max(width, heading.getComputedTextLength()));
  const headingCopy = heading.cloneNode(true);
  keepStyles(heading, headingCopy);
  heading.remove();
  keepStyles(svg, copy);
  copy.querySelectorAll("desc").forEach((one) => one.remove());
  const box = {
    x: -PAPER_MARGIN,
    y: -CAPTION_HEIGHT - PAPER_MARGIN,
    width: whole + 2 * PAPER_MARGIN,
    height: height + CAPTION_HEIGHT + 2 * PAPER_MARGIN,
  };
  headingCopy.setAttribute("y", -CAPTION_HEIGHT + 14);
  const file = draw("svg", {
    role: "img",
    width: box.width,
    height: box.height,
    viewBox: Object.values(box).join(" "),
  });
  const back = getComputedStyle(document.body).backgroundColor;
  const drawing = draw("g", {});
  for (const name of ["font-family", "font-size"]) {
    drawing.setAttribute(name, copy.getAttribute(name));
  }
  drawing.append(...copy.children);
  file.append(draw("title", {}, title), draw("desc", {}, description));
  file.append(draw("rect", { ...box, fill: back }), headingCopy, drawing);
  document.documentElement.classList.remove("paper");
  return new XMLSerializer().serializeToString(file);
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.download = name;
  link.click();
  // The browser may not have started to read it yet.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
