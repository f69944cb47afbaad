// 16-bit samples to base64 and back.

const PIECE = 0x8000; // Arguments that `apply` takes everywhere.

export function toBase64(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  if (bytes.toBase64) return bytes.toBase64();
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode.apply(null, bytes.subarray(at, at + PIECE));
  return btoa(text);
}

export function fromBase64(text) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}
