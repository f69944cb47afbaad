// Where the time of each turn went: what the server knows of it and what only this page can know, on one clock.
//
// A turn: {responseId, kind: "spoken"|"hold"|"typed"|"retry"|"again", away, stages (turn-stages.js), totalMs, playedAt, tools, won, lost}; milliseconds from
// the end of what the user said (the last voiced sample at the microphone; the release; the key). "again": a reply without a request.
//
// Laws: a reply that goes on from a tool's answer belongs to the turn that made the model call the tool, so the tool's time counts; the server's
// clock and ours are joined where both see the same event: at the end of the turn, and where such a reply begins. Over a call the page cannot tell
// which sample is which: the pause is the server's, without the time that the voice takes to the server, and the turn says so (`away`).

import { turnsOf } from "./server.js";
import { laidOut } from "./turn-stages.js";

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
    this.since = performance.now(); // What was asked before waited for the session.
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
    this.begin({ kind, askedAt: at, sentAt: at < this.since ? performance.now() : at, endedAt: null });
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
