// The names of languages, as the page's own language has them.

const NAMES = new Intl.DisplayNames("en", { type: "language" });

/** "Brazilian Portuguese" for "pt-BR"; a tag without a name as it is. */
export function languageName(tag) {
  try {
    return NAMES.of(tag) ?? tag;
  } catch {
    return tag; // Private tags (x-...) have no names.
  }
}

/** What a pipeline understands, in words; an empty list is any language. */
export function understood(tags) {
  if (tags.length === 0) return "Any language";
  if (tags.length > 3) return `${tags.length} languages`;
  return new Intl.ListFormat("en", { type: "disjunction" }).format(tags.map(languageName));
}

/** [tag, name] of each, by name. */
export function byName(tags) {
  return tags.map((tag) => [tag, languageName(tag)]).sort(([, one], [, other]) => one.localeCompare(other, "en"));
}
