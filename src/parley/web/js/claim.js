// What only one tab of this address may have at a time: the microphone, or a conversation that is kept.
//
// Laws: a claim ends with its tab, however that ends; where the browser has no locks (Web Locks need https or localhost), every tab gets what it
// claims, as if there were no other.

export class Claim extends EventTarget {
  // Events: "lost": another tab has taken it.
  constructor(name) {
    super();
    this.name = name;
    this.end = null; // ends it, while it is held
    this.asked = null; // the answer to come,
    this.wanted = false; // and whether it is still wanted
  }

  /**
   * Resolves to whether this tab has it. `take`: from the tab that has it. `patienceMs`: how long to wait for a tab that is being closed, as this one
   * was before a reload.
   */
  hold({ take = false, patienceMs = 0 } = {}) {
    this.wanted = true;
    if (!navigator.locks || this.end) return Promise.resolve(true);
    this.asked ??= this.ask(take, patienceMs).finally(() => {
      this.asked = null;
    });
    return this.asked;
  }

  ask(take, patienceMs) {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), patienceMs);
    const options = take ? { steal: true } : { signal: patience.signal };
    return new Promise((answer) => {
      const held = () => {
        clearTimeout(timer);
        answer(this.wanted);
        if (!this.wanted) return undefined;
        return new Promise((end) => {
          this.end = end;
        });
      };
      navigator.locks.request(this.name, options, held).catch((error) => this.failed(error, answer));
    });
  }

  /** It was not given within the patience, or taken away, or the browser gives no locks here. */
  failed(error, answer) {
    if (this.end === null) return answer(error.name !== "AbortError");
    this.end = null;
    this.dispatchEvent(new Event("lost"));
    return undefined;
  }

  release() {
    this.wanted = false;
    this.end?.();
    this.end = null;
  }
}
