// Tells a new session of the server what was said before, item by item.
//
// Laws: in order; at most so many items are on their way, so that the server sets the pace; an item that is refused does not stop the rest; it
// ends, whatever the server does. Does not know what the items mean.

const UNDERWAY = 16;
const PATIENCE_MS = 10_000; // Without an answer to any item: then the rest counts as refused.

export class Replay {
  /** `send(type, fields)`; `onEnd(refused)`: how many of the items the server did not take. */
  constructor(items, send, onEnd) {
    this.items = items;
    this.send = send;
    this.onEnd = onEnd;
    this.next = 0;
    this.refused = 0;
    this.underway = new Map(); // the item of each event
    this.timer = null;
  }

  start() {
    this.proceed();
  }

  /** An event of the server; answers whether it was for the replay. */
  take(event) {
    if (event.type === "conversation.item.done") {
      const known = [...this.underway].find(([, id]) => id === event.item.id);
      return known !== undefined && this.answered(known[0]);
    }
    if (event.type !== "error" || !this.underway.has(event.error.event_id)) return false;
    this.refused += 1;
    return this.answered(event.error.event_id);
  }

  answered(eventId) {
    this.underway.delete(eventId);
    this.proceed();
    return true;
  }

  proceed() {
    clearTimeout(this.timer);
    while (this.next < this.items.length && this.underway.size < UNDERWAY) {
      const item = this.items[this.next];
      const eventId = `replay_${this.next}`;
      this.next += 1;
      this.underway.set(eventId, item.id);
      this.send("conversation.item.create", { event_id: eventId, item });
    }
    if (this.underway.size > 0) this.timer = setTimeout(() => this.end(this.items.length - this.next + this.underway.size), PATIENCE_MS);
    else this.end(0);
  }

  end(unanswered) {
    this.cancel();
    this.onEnd(this.refused + unanswered);
  }

  /** The session is gone. */
  cancel() {
    clearTimeout(this.timer);
    this.underway.clear();
  }
}
