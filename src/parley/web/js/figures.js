// Where the time of each turn went: what the server knows of it and what only this page can know, on one clock.
//
// A turn: {responseId, kind: "spoken"|"hold"|"typed"|"again", stages: [{name, from, to}], totalMs, won, lost}; milliseconds from the end of
// what the user said (the last voiced sample at the microphone; the release; the key). "again": a reply that no one asked for anew,
// such as after a tool.
//
// Laws: the server's clock and ours are joined at the end of the turn, which both see; a stage that nobody measured is left out, never
// guessed.

import { turnsOf } from "./server.js";

const POSITIONS_KEPT = 1500; // 30 s of frames: longer ago than any end of speech that is asked for.
const TURNS_KEPT = 64;

export class Figures {
  constructor(onTurn) {
    this.onTurn = onTurn;
    this.reset();
  }

  reset(sessionId = "") {
    this.sessionId = sessionId;
    this.positions = [];
    this.turns = new Map();
    this.open = null;
  }

  /** The frame that ends at this position of the input audio was recorded at this time. */
  captured(positionMs, at) {
    this.positions.push({ positionMs, at });
    if (this.positions.length > POSITIONS_KEPT) this.positions.shift();
  }

  asked(kind) {
    this.open = { kind, askedAt: performance.now(), endedAt: null };
  }

  turnEnded(item, endMs) {
    this.open = { kind: "spoken", item, endMs, askedAt: null, endedAt: performance.now() };
  }

  committed(item) {
    if (this.open?.kind === "hold" && this.open.endedAt === null) Object.assign(this.open, { item, endedAt: performance.now() });
  }

  transcribed(item) {
    for (const turn of [this.open, ...this.turns.values()]) if (turn?.item === item) turn.transcribedAt ??= performance.now();
  }

  answered(responseId) {
    const turn = this.open ?? { kind: "again", askedAt: performance.now() };
    this.open = null;
    turn.endedAt ??= performance.now();
    turn.responseId = responseId;
    this.turns.set(responseId, turn);
    if (this.turns.size > TURNS_KEPT) this.turns.delete(this.turns.keys().next().value);
  }

  sounded(responseId) {
    const turn = this.turns.get(responseId);
    if (turn) turn.receivedAt ??= performance.now();
  }

  played(responseId, at) {
    const turn = this.turns.get(responseId);
    if (!turn || turn.playedAt !== undefined) return;
    turn.playedAt = at;
    this.complete(turn);
  }

  done(responseId) {
    const turn = this.turns.get(responseId);
    if (turn?.playedAt !== undefined) this.complete(turn);
  }

  async complete(turn) {
    const sessionId = this.sessionId;
    const told = (await turnsOf(sessionId)).find((known) => known.response_id === turn.responseId);
    if (sessionId === this.sessionId) this.onTurn(laidOut(turn, told, (positionMs) => this.recordedAt(positionMs)));
  }

  /** When the sample at this position came from the microphone; undefined where that is too long ago. */
  recordedAt(positionMs) {
    const next = this.positions.find((known) => known.positionMs >= positionMs);
    return next && next.at - (next.positionMs - positionMs);
  }
}

/** The stages of a turn. `told` is the server's account, undefined where it has none. */
export function laidOut(turn, told, recordedAt) {
  const voiceEndAt = told?.voice_end_at_ms == null ? undefined : recordedAt(told.voice_end_at_ms);
  const start = voiceEndAt ?? turn.askedAt ?? turn.endedAt;
  const ended = turn.endedAt - start;
  const served = (ms) => (ms == null ? undefined : ended + ms);
  const requested = served(told?.requested_ms);
  const token = served(told?.first_token_ms);
  const audio = served(told?.first_audio_ms);
  const sent = served(told?.sent_ms);
  const stages = [
    voiceEndAt !== undefined && { name: "pause", from: 0, to: ended },
    { name: "transcript", from: turn.kind === "spoken" || turn.kind === "hold" ? ended : undefined, to: served(told?.transcript_ms) },
    { name: "model", from: requested, to: token },
    { name: "voice", from: token, to: audio },
    { name: "wait", from: audio, to: told?.speculation === "won" ? sent : undefined },
    { name: "playback", from: sent, to: turn.playedAt - start },
  ].filter((stage) => stage && stage.from !== undefined && stage.to !== undefined && stage.to - stage.from >= 0);
  return {
    responseId: turn.responseId,
    kind: turn.kind,
    stages,
    totalMs: turn.playedAt - start,
    won: told?.speculation === "won",
    lost: told?.guesses_lost ?? 0,
    pauseMs: voiceEndAt === undefined ? undefined : ended,
  };
}
