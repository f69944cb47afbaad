// Text into the clipboard, and files onto the disk.

import { element } from "./dom.js";

/** Resolves to whether it worked: browsers give the clipboard to pages of https and localhost only, others to an old command. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

function copiedBySelection(text) {
  const field = element("textarea", { class: "hidden", readonly: "", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  const { activeElement } = document;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  activeElement?.focus();
  return done;
}

/** Has the browser save it under that name. */
export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
