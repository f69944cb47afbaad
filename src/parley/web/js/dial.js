// The dial: the last twenty seconds of the conversation, drawn around a ring like the minute hand of a clock would.
//
// What you said grows outward, what you heard grows inward, dots are the wait between them. At rest it shows what might be: a conversation,
// or what else it is given.
//
// Laws: draws only while something can be seen to change; with reduced motion it is drawn once a second, without a hand; colours are the
// page's. Says nothing that the page does not also say in words.

const SLOTS = 240;
const ROUND_MS = 20_000;
const SLOT_MS = ROUND_MS / SLOTS;
const LOUD_INPUT = 0.36; // Loudness (RMS) that fills a bar: a close voice,
const LOUD_OUTPUT = 0.4; // and synthesized speech, which is louder than most people.
const QUIET = 0.045; // Less is drawn as silence.
const LABELS_FROM_PX = 300; // Below it there is no room for them.
const CALM_MS = 1000; // Between pictures with reduced motion.

const RING = 0.385; // Its radius, of the width.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Turns of different lengths, with short waits between them: [from slot, to slot, who].
const CONVERSATION = [[4, 44, "you"], [50, 96, "me"], [101, 121, "you"], [126, 186, "me"], [191, 206, "you"], [211, 236, "me"]];

export class Dial {
  /** `rest`: what it shows before it is used. */
  constructor(canvas, rest = CONVERSATION) {
    this.canvas = canvas;
    this.rest = rest;
    this.brush = canvas.getContext("2d");
    this.slots = Array.from({ length: SLOTS }, () => null);
    this.phase = "idle";
    this.input = 0;
    this.output = 0;
    this.glow = 0;
    this.epoch = performance.now();
    this.last = -1;
    this.used = false;
    this.drawnAt = 0;
    this.frame = 0;
    new ResizeObserver(() => this.fit()).observe(canvas);
    addEventListener("theme", () => this.repaint());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** "idle" stops it. */
  setPhase(phase) {
    if (phase !== "idle" && !this.used) {
      this.used = true;
      this.epoch = performance.now();
    }
    this.phase = phase;
    this.wake();
    if (phase === "idle") this.draw();
  }

  /** Forgets what it has shown: it is at rest again. */
  clear() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.slots.fill(null);
    this.used = this.phase !== "idle";
    this.epoch = performance.now();
    this.last = -1;
    this.draw();
    this.wake();
  }

  heard(level) {
    this.input = Math.max(this.input, fullness(level, LOUD_INPUT));
  }

  sounded(level) {
    this.output = Math.max(this.output, fullness(level, LOUD_OUTPUT));
  }

  /** A reply has begun so many milliseconds after the question: written where it begins. */
  answered(ms) {
    const slot = this.slots[this.now() % SLOTS];
    if (slot) slot.label = seconds(ms);
  }

  now() {
    return Math.floor((performance.now() - this.epoch) / SLOT_MS);
  }

  wake() {
    if (this.frame || document.hidden || this.phase === "idle") return;
    this.frame = requestAnimationFrame((time) => {
      this.frame = 0;
      this.advance();
      if (!calm.matches || time - this.drawnAt >= CALM_MS) this.draw();
      this.wake();
    });
  }

  advance() {
    const now = this.now();
    for (let slot = Math.max(this.last + 1, now - SLOTS + 1); slot <= now; slot += 1) {
      this.slots[slot % SLOTS] = { input: 0, output: 0, phase: this.phase, label: "" };
    }
    this.last = now;
    const slot = this.slots[now % SLOTS];
    slot.input = Math.max(slot.input, this.input);
    slot.output = Math.max(slot.output, this.output);
    const goal = this.phase === "speaking" ? this.output : this.phase === "hearing" ? this.input : 0.12;
    this.glow += (goal - this.glow) * 0.18;
    this.input *= 0.7;
    this.output *= 0.7;
  }

  fit() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    this.size = this.canvas.clientWidth;
    this.canvas.width = this.canvas.height = Math.round(this.size * scale);
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
    brush.clearRect(0, 0, size, size);
    brush.save();
    brush.translate(size / 2, size / 2);
    this.drawHeart();
    if (this.used) this.drawPast();
    else this.drawRest();
    brush.restore();
  }

  drawHeart() {
    const { brush, size, ink } = this;
    const radius = size * 0.235;
    const colour = this.phase === "hearing" ? ink.you : this.phase === "speaking" ? ink.me : null;
    if (colour && !calm.matches) {
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
    const now = this.now();
    for (let age = SLOTS - 1; age >= 0; age -= 1) {
      const index = now - age;
      const slot = index >= 0 ? this.slots[index % SLOTS] : null;
      const fresh = 1 - age / SLOTS;
      this.drawSlot(((index % SLOTS) + SLOTS) % SLOTS, slot ?? { input: 0, output: 0, phase: "idle" }, 0.1 + 0.9 * fresh ** 1.4);
    }
    if (calm.matches || this.phase === "idle") return;
    const { brush, size, ink } = this;
    const angle = angleOf(((performance.now() - this.epoch) / SLOT_MS) % SLOTS);
    brush.fillStyle = this.phase === "hearing" ? ink.you : this.phase === "speaking" ? ink.me : ink.soft;
    brush.beginPath();
    brush.arc(Math.cos(angle) * size * RING, Math.sin(angle) * size * RING, size * 0.011 + 1.2, 0, 2 * Math.PI);
    brush.fill();
  }

  drawSlot(place, { input, output, phase, label }, strength) {
    const { brush, size, ink } = this;
    const radius = size * RING;
    const reach = size * 0.1;
    const gap = size * 0.007;
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
    if (label && size >= LABELS_FROM_PX) this.drawLabel(label, x, y, strength);
    brush.globalAlpha = 1;
  }

  drawLabel(label, x, y, strength) {
    const { brush, size, ink } = this;
    brush.font = `500 ${Math.max(10, size * 0.027)}px ${ink.face}`;
    brush.textAlign = Math.abs(x) < 0.3 ? "center" : x > 0 ? "left" : "right";
    brush.textBaseline = "middle";
    brush.globalAlpha = strength;
    brush.fillStyle = ink.soft;
    brush.fillText(label, x * size * (RING + 0.02), y * size * (RING + 0.02));
  }

  drawRest() {
    for (let place = 0; place < SLOTS; place += 1) {
      const level = (who) => {
        const turn = this.rest.find(([from, to, whose]) => whose === who && place >= from && place < to);
        return turn ? imagined(place, turn) : 0;
      };
      const [input, output] = [level("you"), level("me")];
      const silent = input === 0 && output === 0;
      this.drawSlot(place, { input, output, phase: silent ? "thinking" : "idle", label: "" }, silent ? 0.4 : 0.55);
    }
  }
}

function imagined(place, [from, to]) {
  const along = (place - from) / (to - from);
  const swell = Math.sin(Math.PI * Math.min(1, along * 1.05 + 0.04)) ** 0.5;
  const syllable = 0.5 + 0.5 * Math.sin(place * 1.13) * Math.sin(place * 0.37 + 1) + 0.25 * Math.sin(place * 2.9);
  return Math.max(0.1, Math.min(0.95, swell * (0.25 + 0.6 * syllable)));
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
