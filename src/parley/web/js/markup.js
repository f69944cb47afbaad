// The light markup that language models write (`code`, **bold**, *italic*, lists, headings, links) as elements.
//
// Laws: text is only ever set as text; a link is shown, not followed; each character that is shown knows where it stands in the source, so
// that a reply can be cut at any place of it; what is not closed is shown as it was written.

import { element } from "./dom.js";

const INLINE = [
  [/(`+)([^`\n]+)\1(?!`)/y, ([whole, ticks]) => [[ticks.length, whole.length - ticks.length, "code"]]],
  [/\[([^\][\n]+)\](\((?:https?:\/\/|mailto:)[^\s()]+\))/y, ([whole, label]) => [[1, 1 + label.length, "label"], [label.length + 2, whole.length, "address"]]],
  [/(\*\*|__)(?=\S)((?:(?!\n\n)[\s\S])+?)(?<=\S)\1(?!\w)/y, ([whole]) => [[2, whole.length - 2, "strong"]]],
  [/(\*|_)(?![\s*_])((?:(?!\n\n)[^*_]|(?<=\w)_(?=\w))+?)(?<=\S)\1(?!\w)/y, ([whole]) => [[1, whole.length - 1, "em"]]],
];

/** [{from, to, marks}]: what is shown of text[from, to), in order; markers are in none of them. */
function spans(text, from, to, marks = []) {
  const found = [];
  let plain = from;
  const flush = (end) => end > plain && found.push({ from: plain, to: end, marks });
  for (let at = from; at < to; at += 1) {
    if (!"`[*_".includes(text[at]) || (text[at] !== "[" && at > from && /[\w*_`]/.test(text[at - 1]))) continue;
    const [match, parts] = matched(text, at, to) ?? [];
    if (!match) continue;
    flush(at);
    for (const [start, end, mark] of parts) {
      const inner = [...marks, mark];
      if (mark === "code" || mark === "address") found.push({ from: at + start, to: at + end, marks: inner });
      else found.push(...spans(text, at + start, at + end, inner));
    }
    at += match.length - 1;
    plain = at + 1;
  }
  flush(to);
  return found;
}

function matched(text, at, to) {
  for (const [pattern, parts] of INLINE) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match && at + match[0].length <= to) return [match[0], parts(match)];
  }
  return undefined;
}

const ITEM = /^\s*(?:[-*•]|(\d{1,3})[.)])\s+(?=\S)/;
const HEADING = /^#{1,6}\s+(?=\S)/;
const FENCE = /^\s*```/;

/** [{kind: "text"|"heading"|"item"|"code", number, spans}]: paragraphs, headings, items of lists (`number` where they have one), code. */
export function blocks(text) {
  const found = [];
  let open = null; // the paragraph or item that the next line goes on with
  let fenced = null;
  let at = 0;
  for (const line of text.split("\n")) {
    const [from, to] = [at, at + line.length];
    at = to + 1;
    if (fenced) {
      if (FENCE.test(line)) fenced = null;
      else fenced.to = to;
    } else if (FENCE.test(line) && text.indexOf("\n", from) >= 0) {
      fenced = { kind: "code", from: to + 1, to: to + 1 };
      found.push(fenced);
      open = null;
    } else if (line.trim() === "") open = null;
    else {
      const [item, heading] = [ITEM.exec(line), HEADING.exec(line)];
      const marker = (item ?? heading)?.[0].length ?? 0;
      if (!marker && open) open.to = to;
      else {
        const block = { kind: item ? "item" : heading ? "heading" : "text", number: Number(item?.[1] ?? 0), from: from + marker, to };
        found.push(block);
        open = heading ? null : block;
      }
    }
  }
  return found.map((block) => ({ ...block, ...trimmed(text, block) })).map(({ from, to, ...block }) => ({
    ...block, spans: block.kind === "code" ? [{ from, to, marks: [] }] : spans(text, from, to),
  }));
}

function trimmed(text, { kind, from, to }) {
  if (kind === "code") return { from, to };
  const shown = text.slice(from, to);
  return { from: from + shown.length - shown.trimStart().length, to: from + shown.trimEnd().length };
}

const TAGS = { code: "code", strong: "strong", em: "em" };

/** The nodes of these spans, as far as they stand in text[from, to). */
function nodes(text, all, from, to) {
  return all.filter((span) => span.to > from && span.from < to).map((span) => {
    const shown = text.slice(Math.max(from, span.from), Math.min(to, span.to));
    return span.marks.reduceRight((inner, mark) => {
      if (mark === "address") return element("span", { class: "address" }, inner);
      return TAGS[mark] ? element(TAGS[mark], {}, inner) : inner;
    }, shown);
  });
}

/** The nodes of a sentence or two with markup in the line. */
export function inline(text) {
  return nodes(text, spans(text, 0, text.length), 0, text.length);
}

/**
 * The elements of a whole text; what stands before and after the character `cut` is wrapped by `before(nodes)` and `after(nodes)`. One
 * paragraph without a list needs no element of its own.
 */
export function rendered(text, cut, { before, after }) {
  const all = blocks(text);
  const made = [];
  for (const block of all) {
    const children = halves(text, block, cut, { before, after });
    if (block.kind === "item") list(made, block).append(element("li", {}, ...children));
    else if (block.kind === "code") made.push(element("pre", { class: "code" }, ...children));
    else if (block.kind === "heading") made.push(element("p", {}, element("strong", {}, ...children)));
    else made.push(element("p", {}, ...children));
  }
  return all.length === 1 && all[0].kind === "text" ? [...made[0].childNodes] : made;
}

function halves(text, { spans: all }, cut, { before, after }) {
  const end = all.at(-1)?.to ?? 0;
  const next = cut + text.slice(cut, end).length - text.slice(cut, end).trimStart().length;
  const [first, gap, second] = [nodes(text, all, 0, cut), text.slice(cut, Math.max(cut, Math.min(next, end))), nodes(text, all, next, end)];
  return [...(first.length > 0 ? [before(first)] : []), ...(gap && first.length > 0 ? [gap] : []), ...(second.length > 0 ? [after(second)] : [])];
}

/** The list at the end of `made` that this item belongs to. */
function list(made, { number }) {
  const name = number ? "ol" : "ul";
  const last = made.at(-1);
  if (last?.localName === name) return last;
  made.push(element(name, number > 1 ? { start: number } : {}));
  return made.at(-1);
}

/** The text without its markers and the addresses of its links, as it is read aloud. */
export function plain(text) {
  return blocks(text).map(({ spans: all }) => all.filter(({ marks }) => !marks.includes("address")).map(({ from, to }) => text.slice(from, to)).join("")).join("\n");
}
