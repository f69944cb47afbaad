// How much of a reply has been heard over a call, where the server counts the samples and tells only the end: reckoned from how long it has sounded.
//
// Laws: what is reckoned never says that all was heard; that, and where a reply was cut, is the server's word. How fast the voice speaks is
// learned from each reply that was heard out.

const FIRST_GUESS = 24_000 / 15; // Samples for a character: English at an ordinary speed.
const ENOUGH = 20; // Characters: less says little about the speed.

export class SpokenText {
  constructor(transcript) {
    this.transcript = transcript;
    this.perCharacter = FIRST_GUESS;
  }

  /** More words of this entry are on their way. */
  said(entry, text) {
    entry.received += Math.round(text.length * this.perCharacter);
  }

  /** The response has sounded for so many samples. */
  heard(response, samples) {
    let left = samples;
    for (const entry of this.transcript.repliesOf(response)) {
      if (entry.state === "cut") return;
      this.transcript.played(entry.id, Math.max(0, Math.min(left, entry.received - 1)));
      left -= entry.received;
      if (left < 0) return;
    }
  }

  /** The response was heard to its end, which took so many samples. */
  finished(response, samples) {
    let characters = 0;
    for (const entry of this.transcript.repliesOf(response)) {
      characters += entry.pieces.reduce((sum, { text }) => sum + text.length, 0);
      if (entry.kept !== null) continue;
      this.transcript.changed(Object.assign(entry, { state: "done", played: entry.received }));
    }
    if (characters >= ENOUGH) this.perCharacter = samples / characters;
  }
}
