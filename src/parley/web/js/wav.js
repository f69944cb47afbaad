// Recordings as WAV files: 24 kHz, 16 bits.

const RATE = 24_000;

/** `chunks`: samples (Int16Array), interleaved where there are two channels; `comment`: written into the file, in ASCII. */
export function wav(chunks, { channels = 1, comment = "" } = {}) {
  const size = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const info = comment ? chunk("LIST", join(letters("INFO"), chunk("ICMT", letters(`${comment}\0`)))) : new Uint8Array();
  const format = new DataView(new ArrayBuffer(16));
  format.setUint16(0, 1, true); // PCM
  format.setUint16(2, channels, true);
  format.setUint32(4, RATE, true);
  format.setUint32(8, 2 * channels * RATE, true);
  format.setUint16(12, 2 * channels, true);
  format.setUint16(14, 16, true);
  const before = join(letters("WAVE"), chunk("fmt ", new Uint8Array(format.buffer)), info, letters("data"), number(size));
  return new Blob([join(letters("RIFF"), number(before.length + size)), before, ...chunks], { type: "audio/wav" });
}

function chunk(name, content) {
  return join(letters(name), number(content.length), content, new Uint8Array(content.length % 2));
}

function letters(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function number(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}

function join(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
