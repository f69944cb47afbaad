// What a turn's time was spent on, from the end of what the user said to the first sound of the reply.
//
// A stage: {name, from, to, waitedMs, tool?}; milliseconds from the beginning of the wait. `from` and `to` say when it ran; `waitedMs` is its share of the
// wait, which is less where it ran beside another.
//
// Laws: pure; the shares of all stages are the total, and no moment of the wait is without a stage: time that nobody measured has a stage that says so;
// a stage that was not measured is left out, never guessed. The server's clock and the page's are joined where both see the same event, which the page may
// see late: no event of the server's is later than what the page knows to have followed from it.

const ROUNDING_MS = 2; // Two clocks, each rounded: a shorter gap belongs to the stage after it.

/**
 * A turn up to the first sound of its last round. `turn`: see figures.js. A round's `measured` is the server's account, undefined where it has none;
 * `recordedAt(positionMs)`: when that sample of the input audio was recorded.
 */
export function laidOut(turn, recordedAt) {
  const [first] = turn.rounds;
  const last = turn.rounds.at(-1);
  const voiceEndAt = lastVoicedAt(turn, first.measured, recordedAt);
  const start = voiceEndAt ?? turn.askedAt ?? turn.endedAt;
  const totalMs = last.playedAt - start;
  const joins = turn.rounds.map((round, index) => joinOf(round, index === 0 ? turn.endedAt : round.begunAt, turn.sentAt ?? start) - start);
  const stages = [
    ...before(turn, start, voiceEndAt, joins[0], first.measured),
    ...turn.rounds.flatMap((round, index) => roundStages(round, joins[index], start, joins[index + 1])),
  ].filter((stage) => stage.from !== undefined && stage.to !== undefined && stage.to - stage.from >= 0);
  return {
    responseId: last.responseId,
    kind: turn.kind,
    away: turn.byCall && voiceEndAt !== undefined,
    stages: shared(stages, totalMs),
    totalMs,
    playedAt: last.playedAt,
    tools: turn.rounds.slice(0, -1).flatMap(({ tool }) => (tool ? [tool.name] : [])),
    won: first.measured?.speculation === "won",
    lost: first.measured?.speculations_lost ?? 0,
  };
}

/** When the last voiced sample of a spoken turn was recorded; over a call, when the server had heard it. */
function lastVoicedAt({ byCall, kind, endedAt }, measured, recordedAt) {
  if (kind !== "spoken" || measured?.voice_end_at_ms == null) return undefined;
  return byCall ? endedAt - (measured.turn_end_at_ms - measured.voice_end_at_ms) : recordedAt(measured.voice_end_at_ms);
}

/** The page's time of the moment that the server counts this round's times from. `seenAt`: when the page learned of it; `earliest`: it was not before. */
function joinOf({ measured, tool, playedAt }, seenAt, earliest) {
  const [lastMs, followedAt] = tool ? [measured?.first_token_ms, tool.at] : [measured?.sent_ms ?? measured?.first_audio_ms, playedAt];
  if (lastMs == null || followedAt === undefined) return seenAt;
  return Math.max(Math.min(seenAt, followedAt - lastMs), Math.min(seenAt, earliest));
}

/** What comes before any model is asked. `ended`: where the clocks meet. */
function before({ kind, askedAt, sentAt }, start, voiceEndAt, ended, measured) {
  const heard = kind === "spoken" || kind === "hold";
  const asked = voiceEndAt === undefined && askedAt !== null && sentAt !== undefined;
  const [shownAt, leftAt] = [asked ? askedAt - start : undefined, asked ? sentAt - start : undefined];
  const transcribed = after(ended, measured?.transcript_ms);
  const requested = after(ended, measured?.requested_ms);
  return [
    { name: "pause", from: voiceEndAt === undefined ? undefined : 0, to: ended },
    { name: "connect", from: shownAt, to: leftAt > shownAt ? leftAt : undefined },
    { name: "send", from: leftAt, to: ended },
    // A model that did not wait for the last words was asked beside them.
    { name: "transcript", from: heard ? ended : undefined, to: transcribed, beside: transcribed - requested > ROUNDING_MS },
  ];
}

/** One response: what the model and the voice took, or, where another goes on from it, the model and the tool. `joined`, `next`: where both clocks meet. */
function roundStages({ measured, tool, playedAt }, joined, start, next) {
  const requested = after(joined, measured?.requested_ms);
  const token = after(joined, measured?.first_token_ms);
  if (next !== undefined) {
    const calledAt = tool && tool.at - start;
    return [
      { name: "model", from: requested, to: token ?? calledAt },
      { name: "call", from: token, to: calledAt },
      { name: "tool", from: calledAt, to: next, tool: tool?.name },
    ];
  }
  const audio = after(joined, measured?.first_audio_ms);
  const sent = after(joined, measured?.sent_ms);
  const held = measured?.speculation === "won" ? sent : undefined;
  return [
    { name: "model", from: requested, to: token },
    { name: "voice", from: token ?? requested, to: audio },
    { name: "wait", from: audio, to: held },
    { name: "playback", from: held ?? audio ?? sent, to: playedAt - start },
  ];
}

function after(joined, ms) {
  return ms == null ? undefined : joined + ms;
}

/** The stages, in the order in which one led to the next, with the share of the wait that each has; what is between them is a stage, too. */
function shared(stages, totalMs) {
  const all = [];
  let reached = 0;
  const reach = (stage, to) => {
    all.push({ ...stage, waitedMs: Math.max(0, to - reached) });
    reached = Math.max(reached, to);
  };
  for (const { beside, ...stage } of stages) {
    const [from, to] = [stage.from, stage.to].map((time) => Math.min(totalMs, Math.max(0, time)));
    if (beside) {
      all.push({ ...stage, from, to, waitedMs: 0 });
      continue;
    }
    if (from - reached > ROUNDING_MS) reach({ name: stage.name === "model" ? "ask" : "other", from: reached, to: from }, from);
    reach({ ...stage, from, to }, to);
  }
  if (totalMs - reached > ROUNDING_MS) reach({ name: "other", from: reached, to: totalMs }, totalMs);
  return all;
}
