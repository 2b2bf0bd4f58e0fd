// Lines between words that translate each other.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Draw lines, in place of those before.
 * @param {SVGElement} svg lies over all the elements.
 * @param {{from: Element, to: Element, strong: boolean}[]} links
 */
export function drawLines(svg, links) {
  const origin = svg.getBoundingClientRect();
  const boxes = new Map();
  const box = (element) => {
    if (!boxes.has(element)) boxes.set(element, element.getClientRects()[0]);
    return boxes.get(element);
  };
  const paths = links
    .filter(({ from, to }) => box(from) && box(to))
    .map(({ from, to, strong }) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", curve(box(from), box(to), origin));
      if (strong) path.setAttribute("class", "strong");
      return path;
    });
  svg.replaceChildren(...paths);
}

/**
 * Return the path between two words: hanging below them if they are side by side, deeper the farther
 * they are apart, so that lines of one sentence do not fall together; else from one down to the other.
 */
function curve(from, to, origin) {
  const [x1, x2] = [from, to].map((box) => (box.left + box.right) / 2 - origin.left);
  const y1 = from.bottom - origin.top;
  const beside = from.right <= to.left || to.right <= from.left;
  const apart = Math.abs(x2 - x1);
  if (beside && Math.abs(from.bottom - to.bottom) < apart) {
    const y2 = to.bottom - origin.top;
    const depth = 6 + apart / 16;
    return `M${x1} ${y1}C${x1} ${y1 + depth} ${x2} ${y2 + depth} ${x2} ${y2}`;
  }
  const y2 = to.top - origin.top;
  const middle = (y1 + y2) / 2;
  return `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`;
}
