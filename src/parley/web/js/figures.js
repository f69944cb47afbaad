// Where the time of each turn went: what the server knows of it and what only this page can know, on one clock.
//
// A turn: {responseId, kind: "spoken"|"hold"|"typed"|"retry"|"again", away, stages: [{name, from, to, tool?}], totalMs, tools, won, lost}; milliseconds from
// the end of what the user said (the last voiced sample at the microphone; the release; the key). "again": a reply without a request.
//
// Laws: a reply that goes on from a tool's answer belongs to the turn that made the model call the tool, so the tool's time counts; the server's
// clock and ours are joined where both see the same event: at the end of the turn, and where such a reply begins; a stage that was not
// measured is left out, never guessed. Over a call the page cannot tell which sample is which: the pause is the server's, without the time that
// the voice takes to the server, and the turn says so (`away`).

import { turnsOf } from "./server.js";

const POSITIONS_KEPT = 1500; // 30 s of frames: longer ago than any end of speech that is asked for.
const TURNS_KEPT = 64;

export class Figures {
  constructor(onTurn) {
    this.onTurn = onTurn;
    this.reset();
  }

  /** `byCall`: whether the session's audio goes by a call. */
  reset(sessionId = "", byCall = false) {
    this.sessionId = sessionId;
    this.byCall = byCall;
    this.positions = [];
    this.turns = new Map(); // by the id of each of their responses
    this.open = null; // a turn of the user that has no response yet
    this.calling = null; // the turn whose last response called a tool
  }

  /** The frame that ends at this position of the input audio was recorded at this time. */
  captured(positionMs, at) {
    this.positions.push({ positionMs, at });
    if (this.positions.length > POSITIONS_KEPT) this.positions.shift();
  }

  /** `at`: when the user asked, which may be long before it could be sent. */
  asked(kind, at = performance.now()) {
    this.begin({ kind, askedAt: at, endedAt: null });
  }

  turnEnded(item, endMs) {
    this.begin({ kind: "spoken", item, endMs, askedAt: null, endedAt: performance.now() });
  }

  begin(turn) {
    this.open = { ...turn, rounds: [] };
    this.calling = null;
  }

  committed(item) {
    if (this.open?.kind === "hold" && this.open.endedAt === null) Object.assign(this.open, { item, endedAt: performance.now() });
  }

  transcribed(item) {
    for (const turn of [this.open, ...this.turns.values()]) if (turn?.item === item) turn.transcribedAt ??= performance.now();
  }

  answered(responseId) {
    const begunAt = performance.now();
    const turn = this.open ?? this.calling ?? { kind: "again", askedAt: begunAt, endedAt: null, rounds: [] };
    this.open = null;
    this.calling = null;
    turn.endedAt ??= begunAt;
    turn.rounds.push({ responseId, begunAt });
    this.turns.set(responseId, turn);
    if (this.turns.size > TURNS_KEPT) this.turns.delete(this.turns.keys().next().value);
  }

  /** The response has called a tool with all its arguments; the next response, unless the user speaks first, goes on from its answer. */
  called(responseId, name) {
    const turn = this.turns.get(responseId);
    const round = turn?.rounds.find((known) => known.responseId === responseId);
    if (!round) return;
    round.tool ??= { name, at: performance.now() };
    if (!this.open && turn.rounds.at(-1) === round) this.calling = turn;
  }

  played(responseId, at) {
    const turn = this.turns.get(responseId);
    const round = turn?.rounds.find((known) => known.responseId === responseId);
    if (!round || round.playedAt !== undefined) return;
    round.playedAt = at;
    this.complete(turn, round);
  }

  done(responseId) {
    const turn = this.turns.get(responseId);
    const round = turn?.rounds.find((known) => known.responseId === responseId);
    if (round?.playedAt !== undefined) this.complete(turn, round);
  }

  async complete(turn, round) {
    const sessionId = this.sessionId;
    const known = await turnsOf(sessionId);
    if (sessionId !== this.sessionId) return;
    const rounds = turn.rounds.slice(0, turn.rounds.indexOf(round) + 1).map((made) => ({
      ...made, measured: known.find((row) => row.response_id === made.responseId),
    }));
    const { byCall } = this;
    this.onTurn(laidOut({ ...turn, rounds, byCall }, (positionMs) => this.recordedAt(positionMs)));
  }

  /** When the sample at this position came from the microphone; undefined where that is too long ago. */
  recordedAt(positionMs) {
    const next = this.positions.find((known) => known.positionMs >= positionMs);
    return next && next.at - (next.positionMs - positionMs);
  }
}

/** The stages of a turn up to the first sound of its last round. A round's `measured` is the server's account, undefined where it has none. */
export function laidOut(turn, recordedAt) {
  const [first] = turn.rounds;
  const last = turn.rounds.at(-1);
  const voiceEndAt = lastVoicedAt(turn, first.measured, recordedAt);
  const start = voiceEndAt ?? turn.askedAt ?? turn.endedAt;
  const ended = turn.endedAt - start;
  const heard = turn.kind === "spoken" || turn.kind === "hold";
  const stages = [
    { name: "pause", from: voiceEndAt === undefined ? undefined : 0, to: ended },
    { name: "transcript", from: heard ? ended : undefined, to: after(ended, first.measured?.transcript_ms) },
    ...turn.rounds.flatMap((round, index) => roundStages(round, index === 0 ? ended : round.begunAt - start, start, turn.rounds[index + 1])),
  ].filter((stage) => stage.from !== undefined && stage.to !== undefined && stage.to - stage.from >= 0);
  return {
    responseId: last.responseId,
    kind: turn.kind,
    away: turn.byCall && voiceEndAt !== undefined,
    stages,
    totalMs: last.playedAt - start,
    tools: turn.rounds.slice(0, -1).flatMap(({ tool }) => (tool ? [tool.name] : [])),
    won: first.measured?.speculation === "won",
    lost: first.measured?.speculations_lost ?? 0,
    pauseMs: voiceEndAt === undefined ? undefined : ended,
  };
}

/** When the last voiced sample was recorded; over a call, when the server had heard it. */
function lastVoicedAt({ byCall, kind, endedAt }, measured, recordedAt) {
  if (measured?.voice_end_at_ms == null) return undefined;
  if (!byCall) return recordedAt(measured.voice_end_at_ms);
  return kind === "spoken" ? endedAt - (measured.turn_end_at_ms - measured.voice_end_at_ms) : undefined;
}

/** One response: what the model and the voice took, or, where another goes on from it, the model and the tool. `joined`: where both clocks meet. */
function roundStages({ measured, tool, playedAt }, joined, start, next) {
  const requested = after(joined, measured?.requested_ms);
  const token = after(joined, measured?.first_token_ms);
  const model = { name: "model", from: requested, to: token };
  if (next) {
    const calledAt = tool && tool.at - start;
    return [
      { ...model, to: token ?? calledAt },
      { name: "call", from: token, to: calledAt },
      { name: "tool", from: calledAt, to: next.begunAt - start, tool: tool?.name },
    ];
  }
  const audio = after(joined, measured?.first_audio_ms);
  const sent = after(joined, measured?.sent_ms);
  const played = playedAt - start;
  return [
    model,
    { name: "voice", from: token, to: audio },
    { name: "wait", from: audio, to: measured?.speculation === "won" ? sent : undefined },
    // The two clocks are joined by an event that may have come late: what was heard before it was sent took no time that can be told.
    { name: "playback", from: sent, to: sent === undefined ? played : Math.max(sent, played) },
  ];
}

function after(joined, ms) {
  return ms == null ? undefined : joined + ms;
}
