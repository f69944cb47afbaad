// The dial: the last twenty seconds of the conversation, drawn around a ring like the minute hand of a clock would.
//
// What you said grows outward, what you heard grows inward, dots are the wait between them, and beside the beginning of a reply stands how long it took.
// At rest it shows an example: a conversation, or what else it is given, with the names of its parts where there is room for them.
//
// Laws: a slot of time keeps the phase in which it began, drawn or not: where nothing went on, nothing is shown; while it is idle it stands still, and the
// pause is drawn once it goes on. Draws only while something can be seen to change; with reduced motion it is drawn once a second, without a hand; colours
// are the page's. Says nothing that the page does not also say in words.

const SLOTS = 240;
const ROUND_MS = 20_000;
const SLOT_MS = ROUND_MS / SLOTS;
const LOUD_INPUT = 0.36; // Loudness (RMS) that fills a bar: a close voice,
const LOUD_OUTPUT = 0.4; // and synthesized speech, which is louder than most people.
const QUIET = 0.045; // Less is drawn as silence.
const CALM_MS = 1000; // Between pictures with reduced motion.
const SILENCE = { input: 0, output: 0, phase: "idle" };

const GAP = 0.007; // From the ring to its bars, of the width.
const SMALL_PX = 150; // Narrower, there is more room for the words in the middle: shorter bars, further out.

/** Of the width: the radius of the ring, how far a bar goes from it, and the radius of the button in the middle. */
const shape = (size) => (size < SMALL_PX ? { ring: 0.4, reach: 0.085, heart: 0.28 } : { ring: 0.385, reach: 0.1, heart: 0.235 });

const LABEL_ROOM_PX = 40; // Around the dial, for the longest; without it there are none.
const LABEL_FROM_BARS_PX = 6;
const LABEL_APART = 14; // Slots: nearer ones would touch each other.

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const forced = matchMedia("(forced-colors: active)"); // The system's colours, by name: nothing fades.

// Turns of different lengths, with short waits between them: [from slot, to slot, who].
const CONVERSATION = {
  turns: [[4, 44, "you"], [50, 96, "me"], [101, 121, "you"], [126, 186, "me"], [191, 206, "you"], [211, 236, "me"]],
  names: [[24, "you"], [48, "wait"], [73, "Parley"]], // [slot, what is drawn there]
};

export class Dial {
  /** `rest`: what it shows before it is used. */
  constructor(canvas, rest = CONVERSATION) {
    this.canvas = canvas;
    this.rest = rest;
    this.brush = canvas.getContext("2d");
    this.phase = "idle";
    this.glow = 0;
    this.drawnAt = 0;
    this.frame = 0;
    this.forget();
    new ResizeObserver(() => this.fit()).observe(canvas);
    addEventListener("theme", () => this.repaint());
    for (const change of [forced, matchMedia("(prefers-color-scheme: dark)")]) change.addEventListener("change", () => this.repaint());
    document.addEventListener("visibilitychange", () => this.wake());
  }

  forget() {
    this.slots = Array.from({ length: SLOTS }, () => null);
    this.answers = []; // {id, index, text}: replies, and the slots in which they begin
    this.input = 0; // How loud it is now, for the glow.
    this.output = 0;
    this.epoch = performance.now();
    this.last = -1; // the newest slot
    this.used = false;
  }

  /** "idle" stops it. */
  setPhase(phase) {
    if (phase === this.phase && (this.used || phase === "idle")) return;
    if (this.used) this.reach();
    this.phase = phase;
    if (phase !== "idle") {
      if (!this.used) this.forget();
      this.used = true;
      this.reach();
    }
    this.wake();
    if (phase === "idle") this.draw();
  }

  /** Forgets what it has shown: it is at rest again. */
  clear() {
    const { phase } = this;
    this.phase = "idle";
    this.forget();
    this.setPhase(phase);
    this.draw();
  }

  heard(level) {
    this.louder("input", fullness(level, LOUD_INPUT));
  }

  sounded(level) {
    this.louder("output", fullness(level, LOUD_OUTPUT));
  }

  louder(side, level) {
    if (this.phase === "idle") return;
    this.reach();
    const slot = this.slots[this.last % SLOTS];
    slot[side] = Math.max(slot[side], level);
    this[side] = Math.max(this[side], level);
  }

  /** The reply `id` began to sound at this `performance.now()`, so many milliseconds after the question: written where it begins. */
  answered(id, ms, at) {
    const index = Math.floor((at - this.epoch) / SLOT_MS);
    if (this.answers.some((known) => known.id === id)) return;
    this.answers = [...this.answers.filter((known) => known.index > this.last - SLOTS), { id, index, text: seconds(ms) }];
    if (this.phase === "idle") this.draw();
  }

  /** Nothing of that reply was heard after all. */
  unanswered(id) {
    this.answers = this.answers.filter((known) => known.id !== id);
    if (this.phase === "idle") this.draw();
  }

  now() {
    return Math.floor((performance.now() - this.epoch) / SLOT_MS);
  }

  /** The time until now has passed in the phase that it is in. */
  reach() {
    const now = this.now();
    for (let index = Math.max(this.last + 1, now - SLOTS + 1); index <= now; index += 1) {
      this.slots[index % SLOTS] = { input: 0, output: 0, phase: this.phase };
    }
    this.last = now;
  }

  wake() {
    if (this.frame || document.hidden || this.phase === "idle") return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = 0;
      if (this.phase === "idle") return; // It was drawn when it became so.
      this.advance();
      if (!calm.matches || time - this.drawnAt >= CALM_MS) this.draw();
      this.wake();
    });
  }

  advance() {
    this.reach();
    const goal = this.phase === "speaking" ? this.output : this.phase === "hearing" ? this.input : 0.12;
    this.glow += (goal - this.glow) * 0.18;
    this.input *= 0.7;
    this.output *= 0.7;
  }

  fit() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const whole = this.canvas.clientWidth;
    this.size = this.canvas.parentElement.clientWidth;
    this.room = (whole - this.size) / 2; // around it
    this.shape = shape(this.size);
    this.outer = this.size * (this.shape.ring + GAP + this.shape.reach); // the end of the longest bar
    this.canvas.width = this.canvas.height = Math.round(whole * scale);
    this.brush.setTransform(scale, 0, 0, scale, 0, 0);
    this.repaint();
  }

  repaint() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.ink = { you: colour("you"), me: colour("me"), line: colour("line"), soft: colour("soft"), raised: colour("raised"), faint: colour("faint"), face: colour("interface") };
    this.draw();
  }

  draw() {
    const { brush, size, ink } = this;
    if (!size || !ink) return;
    this.drawnAt = performance.now();
    const whole = size + 2 * this.room;
    brush.clearRect(0, 0, whole, whole);
    brush.save();
    brush.translate(whole / 2, whole / 2);
    this.drawHeart();
    if (this.used) this.drawPast();
    else this.drawRest();
    for (const label of this.labels()) this.drawLabel(label);
    brush.restore();
  }

  drawHeart() {
    const { brush, size, ink } = this;
    const radius = size * this.shape.heart;
    const colour = this.phase === "hearing" ? ink.you : this.phase === "speaking" ? ink.me : null;
    if (colour && !calm.matches && !forced.matches) {
      const halo = brush.createRadialGradient(0, 0, radius * 0.9, 0, 0, radius * (1.15 + 0.35 * this.glow));
      halo.addColorStop(0, colour);
      halo.addColorStop(1, `${colour}00`); // the same colour, so that the fade does not turn grey
      brush.globalAlpha = 0.16 + 0.3 * this.glow;
      brush.fillStyle = halo;
      circle(brush, radius * 1.6);
      brush.globalAlpha = 1;
    }
    brush.fillStyle = ink.raised;
    circle(brush, radius);
    brush.lineWidth = colour ? 2 : 1;
    brush.strokeStyle = colour ?? ink.line;
    brush.stroke();
  }

  drawPast() {
    for (let age = SLOTS - 1; age >= 0; age -= 1) {
      const index = this.last - age;
      const slot = index >= 0 ? this.slots[index % SLOTS] : null;
      const fresh = 1 - age / SLOTS;
      this.drawSlot(((index % SLOTS) + SLOTS) % SLOTS, slot ?? SILENCE, 0.1 + 0.9 * fresh ** 1.4);
    }
    if (calm.matches || this.phase === "idle") return;
    const { brush, size, ink } = this;
    const angle = angleOf(((performance.now() - this.epoch) / SLOT_MS) % SLOTS);
    brush.fillStyle = this.phase === "hearing" ? ink.you : this.phase === "speaking" ? ink.me : ink.soft;
    brush.beginPath();
    brush.arc(Math.cos(angle) * size * this.shape.ring, Math.sin(angle) * size * this.shape.ring, size * 0.011 + 1.2, 0, 2 * Math.PI);
    brush.fill();
  }

  drawSlot(place, { input, output, phase }, strength) {
    const { brush, size, ink } = this;
    const [radius, reach, gap] = [size * this.shape.ring, size * this.shape.reach, size * GAP];
    const angle = angleOf(place + 0.5);
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    brush.lineCap = "round";
    brush.lineWidth = Math.max(1.4, size * 0.0056);
    const bar = (colour, from, to) => {
      brush.strokeStyle = colour;
      brush.beginPath();
      brush.moveTo(x * from, y * from);
      brush.lineTo(x * to, y * to);
      brush.stroke();
    };
    brush.globalAlpha = strength;
    if (input > QUIET) bar(ink.you, radius + gap, radius + gap + reach * input);
    if (output > QUIET) bar(ink.me, radius - gap, radius - gap - reach * output);
    if (input <= QUIET && output <= QUIET) {
      const waiting = phase === "thinking";
      brush.globalAlpha = waiting ? strength : Math.min(1, strength + 0.25);
      brush.fillStyle = waiting ? ink.soft : ink.line;
      brush.beginPath();
      brush.arc(x * radius, y * radius, waiting ? size * 0.0052 + 0.4 : size * 0.003 + 0.4, 0, 2 * Math.PI);
      brush.fill();
    }
    brush.globalAlpha = 1;
  }

  /** What is written around the ring, outside of all bars: [{text, slot, x, y, width, height}], the middle of each from that of the dial; the newest first. */
  labels() {
    const { brush, size, ink } = this;
    if (this.room < LABEL_ROOM_PX) return [];
    const { names = [] } = this.rest;
    const wanted = this.used
      ? this.answers.filter(({ index }) => index > this.last - SLOTS).map(({ index, text }) => [index % SLOTS, text]).reverse()
      : names;
    const height = Math.max(11, size * 0.027);
    brush.font = `500 ${height}px ${ink.face}`;
    const placed = [];
    for (const [slot, text] of wanted) {
      if (placed.some((other) => apart(other.slot, slot) < LABEL_APART)) continue;
      const { width } = brush.measureText(text);
      const [x, y] = beside(angleOf(slot + 0.5), this.outer + LABEL_FROM_BARS_PX, width / 2, height / 2);
      placed.push({ text, slot, x, y, width, height });
    }
    return placed;
  }

  drawLabel({ text, slot, x, y }) {
    const { brush, ink } = this;
    const angle = angleOf(slot + 0.5);
    const line = (from, to) => {
      brush.moveTo(Math.cos(angle) * from, Math.sin(angle) * from);
      brush.lineTo(Math.cos(angle) * to, Math.sin(angle) * to);
    };
    brush.strokeStyle = ink.faint;
    brush.lineWidth = 1;
    brush.beginPath();
    line(this.outer - 5, this.outer + 2);
    brush.stroke();
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    brush.fillStyle = ink.soft;
    brush.fillText(text, x, y);
  }

  drawRest() {
    for (let place = 0; place < SLOTS; place += 1) {
      const level = (who) => {
        const turn = this.rest.turns.find(([from, to, whose]) => whose === who && place >= from && place < to);
        return turn ? imagined(place, turn) : 0;
      };
      const [input, output] = [level("you"), level("me")];
      const silent = input === 0 && output === 0;
      this.drawSlot(place, { input, output, phase: silent ? "thinking" : "idle" }, silent ? 0.4 : 0.55);
    }
  }
}

function imagined(place, [from, to]) {
  const along = (place - from) / (to - from);
  const swell = Math.sin(Math.PI * Math.min(1, along * 1.05 + 0.04)) ** 0.5;
  const syllable = 0.5 + 0.5 * Math.sin(place * 1.13) * Math.sin(place * 0.37 + 1) + 0.25 * Math.sin(place * 2.9);
  return Math.max(0.1, Math.min(0.95, swell * (0.25 + 0.6 * syllable)));
}

/** How many slots are between two places on the ring. */
function apart(one, other) {
  const along = Math.abs(one - other);
  return Math.min(along, SLOTS - along);
}

/** The middle of a box of this half width and half height that lies outside of the circle, in the direction of the angle. */
function beside(angle, radius, halfWidth, halfHeight) {
  const [x, y] = [Math.cos(angle), Math.sin(angle)];
  const [width, height] = [halfWidth * Math.max(-1, Math.min(1, 1.5 * x)), halfHeight * Math.max(-1, Math.min(1, 1.5 * y))];
  return [x * radius + width, y * radius + height];
}

function circle(brush, radius) {
  brush.beginPath();
  brush.arc(0, 0, radius, 0, 2 * Math.PI);
  brush.fill();
}

function angleOf(place) {
  return (place / SLOTS) * 2 * Math.PI - Math.PI / 2;
}

function fullness(level, loud) {
  return Math.min(1, (Math.max(0, level) / loud) ** 0.7);
}

export function seconds(ms) {
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`;
}
