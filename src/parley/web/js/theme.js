// Light, dark, or as the device is: remembered, and set before the page is drawn (first-paint.js).

const CHOICES = ["auto", "light", "dark"];

export function theme() {
  const chosen = localStorage.getItem("parley.theme");
  return CHOICES.includes(chosen) ? chosen : "auto";
}

/** Sets and remembers it; an unknown one is an error. */
export function chooseTheme(chosen) {
  if (!CHOICES.includes(chosen)) throw new Error(`theme must be one of ${CHOICES.join(", ")}`);
  localStorage.setItem("parley.theme", chosen);
  document.documentElement.dataset.theme = chosen;
  dispatchEvent(new CustomEvent("theme", { detail: chosen }));
  return chosen;
}

export function nextTheme() {
  return chooseTheme(CHOICES[(CHOICES.indexOf(theme()) + 1) % CHOICES.length]);
}

/** The browser's own frame takes the colour of the page. */
function colourFrame() {
  document.getElementById("theme-color").content = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
}

addEventListener("theme", colourFrame);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colourFrame);
addEventListener("load", colourFrame);
