// Making and finding elements.

/** An element with attributes and text or children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** The element with this id; the page and its scripts come together, so it is there. */
export function byId(id) {
  return document.getElementById(id);
}
