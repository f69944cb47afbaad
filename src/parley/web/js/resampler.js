// Streaming sample-rate conversion with a windowed sinc, for browsers that won't run an AudioContext at 24 kHz.
//
// Laws: pure; equal rates pass through untouched; chunks of any size give the same output as one long chunk; the delay is constant
// (HALF_WIDTH input samples at the lower of both rates).

const HALF_WIDTH = 16; // Zero crossings to each side: 70 dB of stop band, two hundred multiplications a sample at the worst.
const PHASES = 512; // Positions between two samples that the kernel is tabulated at; finer than 16 bits can tell.

export class Resampler {
  constructor(inRate, outRate) {
    this.step = inRate / outRate;
    this.direct = inRate === outRate;
    const cutoff = Math.min(1, outRate / inRate) * 0.96;
    this.reach = Math.ceil(HALF_WIDTH / cutoff);
    this.kernel = kernel(cutoff, this.reach);
    this.kept = new Float32Array(2 * this.reach);
    this.position = this.reach; // of the next output sample, in `kept`
  }

  /** Float32Array in, Float32Array out; what is missing at the end comes with the next call. */
  push(input) {
    if (this.direct) return input;
    const { reach, step } = this;
    const joined = new Float32Array(this.kept.length + input.length);
    joined.set(this.kept);
    joined.set(input, this.kept.length);
    const last = joined.length - reach - 1;
    const count = Math.max(0, Math.floor((last - this.position) / step) + 1);
    const output = new Float32Array(count);
    const width = 2 * reach;
    let position = this.position;
    for (let index = 0; index < count; index += 1) {
      const base = Math.floor(position);
      const phase = Math.floor((position - base) * PHASES) * width;
      const start = base - reach + 1;
      let sum = 0;
      for (let tap = 0; tap < width; tap += 1) sum += joined[start + tap] * this.kernel[phase + tap];
      output[index] = sum;
      position += step;
    }
    const from = Math.max(0, Math.floor(position) - reach);
    this.kept = joined.slice(from);
    this.position = position - from;
    return output;
  }
}

function kernel(cutoff, reach) {
  const width = 2 * reach;
  const table = new Float32Array(PHASES * width);
  for (let phase = 0; phase < PHASES; phase += 1) {
    const offset = phase / PHASES;
    let sum = 0;
    for (let tap = 0; tap < width; tap += 1) {
      const distance = tap - reach + 1 - offset;
      const value = sinc(distance * cutoff) * blackman(distance / reach);
      table[phase * width + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < width; tap += 1) table[phase * width + tap] /= sum;
  }
  return table;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function blackman(x) {
  return Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}
