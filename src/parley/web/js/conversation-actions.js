// What can be done with the conversation as a whole: copy it, take it away as a file, clear it and take that back, and try again what failed in it.
//
// Laws: clearing erases at once, and can be undone for a few seconds; nothing leaves the page but by these buttons.

import { copied, save } from "./copying.js";
import { byId } from "./dom.js";
import { prefer, preferences } from "./preferences.js";
import { asJson, asText } from "./written.js";

const UNDO_MS = 10_000;
const COPIED_MS = 2000;

export class ConversationActions {
  /** `page`: the conversation view (main.js). */
  constructor(page) {
    this.page = page;
    this.conversation = page.conversation;
    this.undoing = null;
    this.copied = null; // the timer of its sign
    this.since = 0;
    this.watch();
    this.show();
  }

  watch() {
    const on = (id, act) => byId(id).addEventListener("click", act);
    this.conversation.addEventListener("changed", () => this.show());
    byId("entries").addEventListener("retry", ({ detail }) => this.retry(detail));
    on("anew", () => this.startAnew());
    on("undo", () => this.undo());
    on("copy", () => this.copy());
    on("take", () => this.openTaking());
    on("take-text", () => save(this.name("txt"), new Blob([this.text], { type: "text/plain" })));
    on("take-json", () => save(this.name("json"), new Blob([asJson(this.entries, this.head)], { type: "application/json" })));
    on("take-audio", () => save(this.name("wav"), this.conversation.recording.file()));
    byId("keep-sound").addEventListener("change", ({ target }) => {
      prefer({ recording: target.checked });
      if (!target.checked) this.conversation.recording.clear();
      this.showTaking();
    });
  }

  get entries() {
    return [...this.conversation.transcript.entries.values()];
  }

  /** What a file says of the conversation as a whole. */
  get head() {
    const { talk, settings } = this.page;
    const voice = talk.session?.audio?.output?.voice ?? preferences.voice;
    return { server: location.host, model: talk.session?.model ?? settings.model, voice: voice.id ?? voice };
  }

  get text() {
    return asText(this.entries, this.head);
  }

  name(suffix) {
    const [day, time] = new Date(this.entries[0]?.at ?? Date.now()).toISOString().split("T");
    return `parley-${day}-${time.slice(0, 5).replace(":", "")}.${suffix}`;
  }

  show() {
    const [first] = this.conversation.transcript.entries.values();
    byId("said-head").hidden = !first;
    if (first && first.at !== this.since) byId("since").textContent = `Since ${began(first.at)}`;
    this.since = first?.at;
    if (this.conversation.cleared === null) this.hideUndo();
    if (byId("take-box").open) this.showTaking();
  }

  // --- trying again -------------------------------------------------------------------------------------------------------------------

  retry(entry) {
    const { page } = this;
    page.connect();
    page.loudspeaker.open();
    page.talk.asking.retry(entry);
  }

  // --- clearing -----------------------------------------------------------------------------------------------------------------------

  startAnew() {
    const { page, conversation } = this;
    const focused = byId("said-head").contains(document.activeElement);
    const { empty } = conversation;
    page.talk.disconnect(); // What it was saying is cut to what was heard, before it can be taken back.
    page.talk.link.tryCalls();
    conversation.clear();
    page.turns.clear();
    page.events.clear();
    if (page.talk.listening) page.connect();
    page.draw();
    if (empty) return;
    byId("cleared").hidden = false;
    if (focused) byId("undo").focus();
    clearTimeout(this.undoing);
    this.undoing = setTimeout(() => this.hideUndo(), UNDO_MS);
  }

  undo() {
    const { page } = this;
    const open = page.talk.link.state.name !== "closed";
    this.conversation.takeBack();
    this.hideUndo();
    byId("scroll").focus();
    page.talk.disconnect(); // A session that began meanwhile knows nothing of it.
    if (open) page.connect();
    page.draw();
  }

  hideUndo() {
    clearTimeout(this.undoing);
    this.conversation.forgetCleared();
    byId("cleared").hidden = true;
  }

  // --- taking it away -----------------------------------------------------------------------------------------------------------------

  async copy() {
    if (await copied(this.text)) this.showCopied();
    else this.page.alerts.show("hint", { title: "Not copied", text: "This browser does not let the page write to the clipboard. Download the text instead.", forMs: 6000 });
  }

  showCopied() {
    const button = byId("copy");
    button.dataset.done = "true";
    button.title = "Copied";
    byId("status").textContent = "The conversation is in the clipboard.";
    clearTimeout(this.copied);
    this.copied = setTimeout(() => {
      button.dataset.done = "false";
      button.title = "Copy as text";
    }, COPIED_MS);
  }

  openTaking() {
    this.showTaking();
    byId("take-box").showModal();
  }

  showTaking() {
    const { recording } = this.conversation;
    const minutes = Math.floor(recording.seconds / 60);
    const length = `${minutes > 0 ? `${minutes} min ` : ""}${Math.round(recording.seconds % 60)} s`;
    byId("keep-sound").checked = preferences.recording;
    byId("take-audio").disabled = recording.empty;
    byId("sound-length").textContent = recording.empty ? "no sound yet" : `${length}${recording.dropped > 0 ? ", its end" : ""}`;
  }
}

/** The time of day, with the day where it is another than today. */
function began(at) {
  const today = new Date(at).toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat("en-GB", { ...(!today && { dateStyle: "medium" }), timeStyle: "short" }).format(at);
}
