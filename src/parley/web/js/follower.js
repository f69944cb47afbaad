// Keeps a scrolled list at its end.
//
// Laws: it follows its end unless the reader has scrolled away; a button leads back; where it is empty, what stands in its place is read
// from its beginning.

const NEAR_END_PX = 80;

export class Follower {
  constructor(scroll, list, down) {
    this.scroll = scroll;
    this.list = list;
    this.down = down;
    this.following = true;
    let before = 0;
    let shape = "";
    scroll.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = scroll;
      if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.following = true;
      else if (scrollTop < before - 1 && shape === `${scrollHeight} ${clientHeight}`) this.following = false; // The reader; else the layout.
      before = scrollTop;
      shape = `${scrollHeight} ${clientHeight}`;
      this.showDown();
    }, { passive: true });
    down.addEventListener("click", () => this.follow(true));
    const watch = new ResizeObserver(() => this.follow());
    watch.observe(scroll);
    watch.observe(list);
  }

  get empty() {
    return this.list.childElementCount === 0;
  }

  /** Shows the end, where the reader is near it; `jump`: wherever they are. */
  follow(jump = false) {
    if (jump || this.empty) this.following = true;
    if (this.following && !this.empty) this.scroll.scrollTop = this.scroll.scrollHeight;
    this.showDown();
  }

  showDown() {
    this.down.hidden = this.following;
  }
}
