// What is said where the conversation of this tab is open in another one, too: a browser copies a tab with all that it keeps.
//
// Laws: nothing is done until the user chooses, or goes on; the other tab is left alone.

export class OtherTabs {
  /** `page`: the conversation view (main.js). */
  constructor(page) {
    this.page = page;
    page.conversation.addEventListener("shared", () => this.show());
  }

  show() {
    const { alerts, conversation, actions } = this.page;
    if (!conversation.shared) return alerts.clear("tab");
    alerts.show("tab", {
      title: "This conversation is open in another tab",
      text: "Here is a copy of it. Each tab goes on by itself, and neither hears of what is said in the other.",
      action: ["Go on with the copy", () => conversation.own()],
      instead: ["New conversation", () => actions.startAnew()],
    });
    return undefined;
  }
}
