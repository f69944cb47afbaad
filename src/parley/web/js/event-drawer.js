// The drawer of raw events: what was sent and received, as lines of event-row.js over event-log.js.
//
// Laws: closed, it draws nothing; open, it draws ten times a second at most and takes no more than a tenth of the page's time: the newest lines that pass
// the filter, and earlier ones when they are asked for; it follows the end unless the reader has scrolled away or opened a line. Where there is room it stands beside the page, which
// keeps its keys; on a small screen it is a modal sheet. Paused, it shows what it had, and the log goes on.

import { save } from "./copying.js";
import { byId } from "./dom.js";
import { EventLog } from "./event-log.js";
import { asJsonLines } from "./event-file.js";
import { EventRow } from "./event-row.js";
import { Follower } from "./follower.js";

const BESIDE = matchMedia("(min-width: 62.5rem)");
const DRAW_MS = 100;
const SHARE = 10; // Between two times it draws, this many times as long as it took.
const WINDOW = 200; // lines
const number = new Intl.NumberFormat("en");

export class EventDrawer {
  /** `links`: what is recorded, by the name of its view. */
  constructor(links) {
    this.log = new EventLog();
    for (const [name, link] of Object.entries(links)) this.log.watch(link, name);
    this.dialog = byId("events");
    this.list = byId("events-list");
    this.rows = new Map(); // of the lines that are shown
    this.first = null; // the line at the top, while the reader is elsewhere than at the end
    this.paused = null; // while the list is paused: {lines, seen}, what it had and how many events there had been
    this.timer = null;
    this.tookMs = 0; // to draw
    this.end = new Follower(byId("events-scroll"), this.list, byId("events-down"));
    this.watch();
  }

  watch() {
    const on = (id, act) => byId(id).addEventListener("click", act);
    for (const id of ["events-open", "events-show"]) on(id, () => this.toggle());
    on("events-close", () => this.dialog.close());
    on("events-pause", () => this.pause(this.paused === null));
    on("events-clear", () => this.clear());
    on("events-save", () => this.save());
    on("events-earlier", () => this.showEarlier());
    byId("events-filter").addEventListener("input", () => this.sieve());
    for (const radio of document.getElementsByName("events-way")) radio.addEventListener("change", () => this.sieve());
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("copied", ({ detail }) => (byId("status").textContent = detail ? "The event is in the clipboard." : "This browser does not let the page write to the clipboard."));
    this.list.addEventListener("toggle", ({ target }) => target.open && this.read(), { capture: true });
    this.list.addEventListener("focusin", ({ target }) => target.localName === "summary" && this.rove(target));
    BESIDE.addEventListener("change", () => this.dialog.open && this.show());
  }

  // --- open and closed ----------------------------------------------------------------------------------------------------------------

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.open();
  }

  open() {
    document.querySelector("dialog:modal")?.close();
    this.opener = document.activeElement;
    this.log.onChange = () => (this.timer ??= setTimeout(() => requestAnimationFrame(() => this.draw()), Math.max(DRAW_MS, SHARE * this.tookMs)));
    this.show();
    this.draw();
    this.tookMs = 0; // What comes next is less.
    this.end.follow(true);
  }

  /** Beside the page, or over it. */
  show() {
    this.dialog.close();
    if (BESIDE.matches) this.dialog.show();
    else this.dialog.showModal();
    byId("events-open").setAttribute("aria-expanded", "true");
  }

  closed() {
    if (this.dialog.open) return; // It was closed to be opened in the other way.
    clearTimeout(this.timer);
    this.timer = null;
    this.log.onChange = () => {};
    this.pause(false);
    this.forgetRows();
    byId("events-open").setAttribute("aria-expanded", "false");
    if (document.activeElement === document.body || this.dialog.contains(document.activeElement)) this.opener?.focus?.();
  }

  key(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Escape") {
      event.stopPropagation(); // It stops no reply.
      event.preventDefault();
      if (target.id === "events-filter" && target.value) {
        target.value = "";
        this.sieve();
      } else this.dialog.close();
    } else if (key.toLowerCase() === "e" && this.dialog.matches(":modal") && !target.matches("input")) this.dialog.close();
    else if (target.localName === "summary") this.step(event);
  }

  // --- the list -----------------------------------------------------------------------------------------------------------------------

  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    if (!this.dialog.open) return;
    const began = performance.now();
    if (this.paused === null) this.drawLines();
    this.drawCounts();
    this.tookMs = performance.now() - began;
  }

  drawLines() {
    const { lines, earlier } = this.visible();
    const wanted = new Set(lines);
    for (const [line, { node }] of this.rows) {
      if (wanted.has(line)) continue;
      node.remove();
      this.rows.delete(line);
    }
    let place = this.list.firstChild;
    for (const line of lines) {
      let row = this.rows.get(line);
      if (!row) this.rows.set(line, (row = new EventRow(line)));
      row.update();
      if (row.node === place) place = place.nextSibling;
      else this.list.insertBefore(row.node, place);
    }
    byId("events-earlier").hidden = !earlier;
    byId("events-none").hidden = lines.length > 0;
    byId("events-none").textContent = this.log.lines.length > 0 ? "No event passes the filter." : "Nothing has been sent or received yet.";
    if (!this.list.querySelector("summary[tabindex='0']")) this.list.querySelector(".event:last-of-type summary")?.setAttribute("tabindex", "0");
    this.end.follow();
  }

  /** {lines, earlier}: the newest that pass the filter, or those from the one at the top on; and whether there are more before them. */
  visible() {
    const { filter } = this;
    const all = this.paused?.lines ?? this.log.lines;
    this.first = this.end.following ? null : this.first ?? this.top;
    const from = this.first === null ? -1 : Math.max(0, all.indexOf(this.first));
    const lines = [];
    let earlier = false;
    for (let at = all.length - 1; at >= 0 && !earlier; at -= 1) {
      if (!filter(all[at])) continue;
      if (from < 0 ? lines.length < WINDOW : at >= from) lines.push(all[at]);
      else earlier = true;
    }
    return { lines: lines.reverse(), earlier };
  }

  /** The line that is shown first. */
  get top() {
    const { firstChild } = this.list;
    for (const [line, { node }] of this.rows) if (node === firstChild) return line;
    return null;
  }

  get filter() {
    const words = byId("events-filter").value.toLowerCase().split(/\s+/).filter((word) => word.replace("-", ""));
    const way = document.querySelector("[name=events-way]:checked").value;
    const has = ({ type, ids }, word) => type.toLowerCase().includes(word) || ids.some((id) => id.toLowerCase().includes(word));
    return (line) => {
      if (line.note !== undefined) return true;
      if (way && line.direction !== way) return false;
      return words.every((word) => (word.startsWith("-") ? !has(line, word.slice(1)) : has(line, word)));
    };
  }

  sieve() {
    this.end.following = true;
    this.drawLines();
    const shown = [...this.rows.keys()].filter(({ note }) => note === undefined).length;
    byId("status").textContent = `${shown} ${shown === 1 ? "line" : "lines"}`;
  }

  showEarlier() {
    const all = this.paused?.lines ?? this.log.lines;
    const { top } = this;
    const before = all.slice(0, all.indexOf(top)).filter(this.filter);
    this.end.following = false;
    this.first = before.at(-WINDOW) ?? before[0] ?? top;
    this.drawLines();
    const { node } = this.rows.get(top);
    node.scrollIntoView();
    node.querySelector("summary")?.focus({ preventScroll: true });
  }

  /** The reader is at a line: the list stays where it is. */
  read() {
    if (!this.end.following) return;
    this.end.following = false;
    byId("events-down").hidden = false;
  }

  forgetRows() {
    this.rows.clear();
    this.list.replaceChildren();
    this.first = null;
  }

  // --- the keyboard in the list -------------------------------------------------------------------------------------------------------

  rove(summary) {
    for (const other of this.list.querySelectorAll("summary[tabindex='0']")) other.tabIndex = -1;
    summary.tabIndex = 0;
  }

  step(event) {
    const all = [...this.list.querySelectorAll("summary")];
    const at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < at) this.read();
    all[Math.max(0, Math.min(all.length - 1, to))].focus();
  }

  // --- what can be done with it -------------------------------------------------------------------------------------------------------

  pause(paused) {
    const { lines, events, dropped } = this.log;
    this.paused = paused ? { lines: [...lines], seen: events + dropped } : null;
    byId("events-pause").setAttribute("aria-pressed", paused);
    this.draw();
  }

  clear() {
    this.log.clear();
    this.pause(false);
    this.forgetRows();
    this.draw();
  }

  save() {
    const [day, time] = new Date().toISOString().split("T");
    const name = `parley-events-${day}-${time.slice(0, 8).replaceAll(":", "")}.jsonl`;
    save(name, new Blob([asJsonLines(this.log)], { type: "application/jsonl" }));
  }

  drawCounts() {
    const { events, failures, dropped } = this.log;
    const newer = this.paused === null ? 0 : events + dropped - this.paused.seen;
    const parts = [
      `${number.format(events)} ${events === 1 ? "event" : "events"}`,
      ...(failures > 0 ? [`${number.format(failures)} ${failures === 1 ? "error" : "errors"}`] : []),
      ...(dropped > 0 ? [`${number.format(dropped)} older dropped`] : []),
      ...(this.paused === null ? [] : [`paused, ${number.format(newer)} newer`]),
    ];
    byId("events-count").textContent = parts.join(" · ");
    byId("events-clear").disabled = byId("events-save").disabled = this.log.lines.length === 0;
  }
}
