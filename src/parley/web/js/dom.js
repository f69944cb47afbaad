// Making and finding elements.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and text or children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** A picture of one stroke, of 24 by 24 units. */
export function icon(path) {
  const picture = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: "0 0 24 24", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": "1.7", "stroke-linecap": "round" };
  for (const [attribute, value] of Object.entries(attributes)) picture.setAttribute(attribute, value);
  const stroke = document.createElementNS(SVG, "path");
  stroke.setAttribute("d", path);
  picture.append(stroke);
  return picture;
}

/** The element with this id; the page and its scripts come together, so it is there. */
export function byId(id) {
  return document.getElementById(id);
}
