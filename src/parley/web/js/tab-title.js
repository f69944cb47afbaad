// The title of the tab: while another one is looked at, it says in a word or two what goes on here.
//
// Laws: nothing else writes it; in the tab that is looked at it is the title of the view.

export class TabTitle {
  /** `page`: the conversation view (main.js). */
  constructor(page) {
    this.page = page;
    const { talk, views, interpreter } = page;
    const draw = () => this.draw();
    for (const type of ["phase", "state"]) talk.addEventListener(type, draw);
    talk.approvals.addEventListener("change", draw);
    views.addEventListener("view", draw);
    interpreter.addEventListener("status", draw);
    document.addEventListener("visibilitychange", draw);
    draw();
  }

  draw() {
    const { title } = this.page.views;
    const doing = document.hidden ? this.doing : "";
    document.title = doing ? `${doing} · ${title}` : title;
  }

  get doing() {
    const { talk, interpreter } = this.page;
    if (talk.approvals.asking.length > 0 || talk.link.state.name === "refused") return "Needs you";
    if (interpreter.session.active) return interpreter.session.muted ? "Muted" : "Translating";
    if (talk.phase === "speaking") return "Speaking";
    if (talk.phase === "thinking") return "Thinking";
    if (!talk.listening) return "";
    return talk.muted ? "Muted" : "Listening";
  }
}
