// The lag meter: a bar of the seconds that the translation is behind, with the median and the 90th percentile so far, and the figures.
//
// Laws: drawn only when something changed, and no faster than the figures can be read; colours are the page's; the canvas says nothing that
// the figures beside it do not.

const READABLE_MS = 200; // Between two pictures.
const LEAST_SCALE_S = 5;
const GROWS_BY_S = 5;
const MOST_SCALE_S = 60;

export class LagMeter {
  /** `place`: the section with the canvas and the figures. */
  constructor(place, lag) {
    this.place = place;
    this.lag = lag;
    this.canvas = place.querySelector("canvas");
    this.brush = this.canvas.getContext("2d");
    this.figures = Object.fromEntries(["now", "median", "most"].map((name) => [name, place.querySelector(`[data-lag=${name}]`)]));
    this.nowMs = null;
    this.words = "";
    this.drawnAt = -Infinity;
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    addEventListener("theme", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** What is heard now is so late; null while nothing is. `words` stand in the figure's place then. */
  show(lagMs, words = "") {
    const changed = (lagMs === null) !== (this.nowMs === null) || (lagMs === null && words !== this.words);
    this.nowMs = lagMs;
    this.words = words;
    if (changed || performance.now() - this.drawnAt >= READABLE_MS) this.draw();
  }

  fit() {
    const scale = Math.min(devicePixelRatio || 1, 2);
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    [this.canvas.width, this.canvas.height] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    this.brush.setTransform(scale, 0, 0, scale, 0, 0);
    this.draw();
  }

  draw() {
    this.drawnAt = performance.now();
    const [median, most] = [this.lag.quantile(0.5), this.lag.quantile(0.9)];
    this.figures.now.textContent = this.nowMs === null ? this.words : seconds(this.nowMs);
    this.figures.median.textContent = median === null ? "–" : seconds(median);
    this.figures.most.textContent = most === null ? "–" : seconds(most);
    this.place.dataset.playing = String(this.nowMs !== null);
    if (this.width) this.drawBar(median, most);
  }

  drawBar(median, most) {
    const { brush, width, height, nowMs } = this;
    const style = getComputedStyle(this.place);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const scaleS = scaleOf(Math.max(nowMs ?? 0, most ?? 0));
    const [top, thick] = [height * 0.28, 10];
    const at = (ms) => Math.min(width, (ms / 1000 / scaleS) * width);
    brush.clearRect(0, 0, width, height);
    brush.fillStyle = colour("sunk");
    bar(brush, 0, top, width, thick);
    if (median !== null) {
      brush.fillStyle = colour("me-wash");
      bar(brush, 0, top, Math.max(thick, at(most)), thick);
    }
    if (nowMs !== null) {
      brush.fillStyle = colour("me");
      bar(brush, 0, top, Math.max(thick, at(nowMs)), thick);
    }
    brush.font = `400 11px ${colour("interface")}`;
    brush.textBaseline = "bottom";
    const step = scaleS <= 10 ? 1 : scaleS / 5;
    for (let s = 0; s <= scaleS; s += step) {
      const x = Math.max(0.5, Math.min(width - 0.5, at(s * 1000)));
      brush.fillStyle = colour("line");
      brush.fillRect(x - 0.5, top + thick + 4, 1, 4);
      if (step === 1 && scaleS > 5 && s % 5) continue;
      brush.fillStyle = colour("soft");
      brush.textAlign = s === 0 ? "left" : s === scaleS ? "right" : "center";
      brush.fillText(s === scaleS ? `${s} s` : String(s), x, height);
    }
    for (const [ms, tall] of [[median, 7], [most, 4]]) {
      if (ms === null) continue;
      brush.fillStyle = colour("ink");
      brush.fillRect(Math.min(width - 2, at(ms)) - 1, top - tall, 2, thick + tall);
    }
  }
}

function bar(brush, x, y, width, height) {
  brush.beginPath();
  brush.roundRect(x, y, width, height, height / 2);
  brush.fill();
}

function scaleOf(ms) {
  return Math.min(MOST_SCALE_S, Math.max(LEAST_SCALE_S, Math.ceil(ms / 1000 / GROWS_BY_S) * GROWS_BY_S));
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
