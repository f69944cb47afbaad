// Brings the document into the order in which the page is seen, so that the keyboard and screen readers go through it as the eye does.
//
// Laws: the style sheets alone decide (`order`), by the room there is; what has the focus keeps it.

const PARTS = [".top", "#conversation", "#interpreter"];

export function keepReadingOrder() {
  const parts = PARTS.map((selector) => document.querySelector(selector));
  const look = () => parts.forEach(arrange);
  const watch = new ResizeObserver(look);
  for (const part of parts) watch.observe(part);
}

function arrange(part) {
  const children = [...part.children];
  const seen = children.map((child) => ({ child, order: Number(getComputedStyle(child).order) })).sort((one, other) => one.order - other.order);
  if (seen.every(({ child }, index) => child === children[index])) return;
  const focused = document.activeElement;
  for (const { child } of seen) {
    if (part.moveBefore) part.moveBefore(child, null); // Keeps where it was scrolled to.
    else part.append(child);
  }
  if (document.activeElement !== focused) focused.focus({ preventScroll: true });
}
