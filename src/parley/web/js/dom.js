// Making, finding and filling elements.

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

const MOST_SAID = 20; // Sentences that stay where screen readers find them.

/** Has screen readers say a sentence; `place`: a live region. */
export function announce(place, sentence) {
  place.append(element("p", {}, sentence));
  while (place.childElementCount > MOST_SAID) place.firstChild.remove();
}

/** Fills a select with [value, text] of each option, where that changes something: a list that is open stays so. What is not there is not chosen. */
export function fill(select, options, chosen) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  }
  const value = options.some(([known]) => known === chosen) ? chosen : options[0]?.[0] ?? "";
  if (select.value !== value) select.value = value;
}

/** Closes a sheet at the side of the page where one presses beside it. */
export function closesBeside(dialog) {
  dialog.addEventListener("click", (event) => event.target === dialog && event.offsetX < 0 && dialog.close());
}

/** The element with this id; the page and its scripts come together, so it is there. */
export function byId(id) {
  return document.getElementById(id);
}
