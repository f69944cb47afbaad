"""The evaluation of a load run: its figures, whether they are valid, and whether it met the bar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from parley.load.conversation import LATE_BEYOND_IDEAL_S
from parley.load.drive import LoadPlan, LoadRecord

BELIEVED_LATE_SHARE = 0.01
"""More than one chunk in a thousand a whole chunk late: the client was starved, and measured itself rather than the
server."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds over `count` samples; None where there are none."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """One run. `ideal_ms` = the silence wait the session reported + the stages' own time (or what --ideal-ms said).

    `first_audio`: end of speech to the reply's first audio. `beyond_ideal`: what is left of it beyond `ideal_ms`.
    `late`: beyond the ideal by more than 100 ms. `early`: before the silence wait was over, or while the user still
    spoke. `fillers` ("one moment") are counted, and answer no turn.
    """

    url: str
    sessions: int
    joined: int
    refused: dict[str, int]
    dropped: dict[str, int]
    chunk_ms: int
    window_s: float
    session_s: float
    silence_ms: int | None
    ideal_ms: float
    turns: int
    first_audio: Percentiles
    beyond_ideal: Percentiles
    missed: int
    early: int
    late: int
    late_percent: float
    stray: int
    failed: int
    unfinished: int
    fillers: int
    barge_ins: int
    unstopped: int
    leaked: int
    barge_in_to_silence: Percentiles
    barge_in_to_speech_started: Percentiles
    barge_in_to_cancelled: Percentiles
    error_count: int
    errors: list[str]
    server_cpu_ms_per_session_s: float | None
    server_cpu_percent: float | None
    server_rss_mib: float | None
    server_rss_before_mib: float | None
    server_rss_kib_per_session: float | None
    server_processes: int | None
    client_cpu_percent: float
    client_cpu_ms_per_session_s: float
    send_lateness_p99_ms: int
    send_lateness_max_ms: float
    send_late_share: float
    believed: bool

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def figures(plan: LoadPlan, record: LoadRecord) -> LoadFigures:
    """The figures of a finished run."""
    tally, session_s = record.tally, max(record.session_s, 1e-9)
    before, start, end = record.server_before, record.server_start, record.server_end
    server_cpu_s = end.cpu_s - start.cpu_s if start and end else None
    late_share = record.lateness.share_beyond(plan.script.track.chunk_ms)
    replied = len(tally.delays)
    return LoadFigures(
        url=plan.url,
        sessions=plan.sessions,
        joined=record.joined,
        refused=dict(record.refused),
        dropped=dict(record.dropped),
        chunk_ms=plan.script.track.chunk_ms,
        window_s=round(record.window_s, 2),
        session_s=round(record.session_s, 1),
        silence_ms=record.silence_ms,
        ideal_ms=round(record.ideal_ms, 1),
        turns=tally.turns,
        first_audio=spread(tally.delays),
        beyond_ideal=spread(tally.beyond),
        missed=tally.missed,
        early=tally.early,
        late=tally.late,
        late_percent=round(100 * tally.late / replied, 2) if replied else 0.0,
        stray=tally.stray,
        failed=tally.failed,
        unfinished=tally.unfinished,
        fillers=tally.fillers,
        barge_ins=tally.barge_ins,
        unstopped=tally.unstopped,
        leaked=tally.leaked,
        barge_in_to_silence=spread(tally.to_silence),
        barge_in_to_speech_started=spread(tally.to_speech_started),
        barge_in_to_cancelled=spread(tally.to_cancelled),
        error_count=tally.error_count,
        errors=list(tally.errors),
        server_cpu_ms_per_session_s=round(server_cpu_s * 1000 / session_s, 3) if server_cpu_s is not None else None,
        server_cpu_percent=round(100 * server_cpu_s / record.window_s, 1) if server_cpu_s is not None else None,
        server_rss_mib=_mib(record.server_peak_rss_bytes) if start else None,
        server_rss_before_mib=_mib(before.rss_bytes) if before else None,
        server_rss_kib_per_session=(
            round((record.server_peak_rss_bytes - before.rss_bytes) / 1024 / record.joined, 1) if before else None
        ),
        server_processes=end.processes if end else None,
        client_cpu_percent=round(100 * record.client_cpu_s / max(record.window_s, 1e-9), 1),
        client_cpu_ms_per_session_s=round(record.client_cpu_s * 1000 / session_s, 3),
        send_lateness_p99_ms=record.lateness.percentile_ms(0.99),
        send_lateness_max_ms=round(record.lateness.max_ms, 1),
        send_late_share=round(late_share, 5),
        believed=late_share <= BELIEVED_LATE_SHARE,
    )


def spread(seconds: Sequence[float]) -> Percentiles:
    """Percentiles of a sample given in seconds (linear interpolation between neighbours)."""
    if not seconds:
        return Percentiles(0, None, None, None, None)
    p50, p95, p99 = (round(float(value) * 1000, 1) for value in np.percentile(np.asarray(seconds), (50, 95, 99)))
    return Percentiles(len(seconds), p50, p95, p99, round(max(seconds) * 1000, 1))


def _mib(size_bytes: int) -> float:
    return round(size_bytes / 2**20, 1)


def broken_bars(
    found: LoadFigures,
    *,
    max_missed: int | None = None,
    max_late_percent: float | None = None,
    max_unstopped: int | None = None,
    max_cpu_ms: float | None = None,
) -> list[str]:
    """Each bar that a run missed, in words; empty if it met them all.

    `max_missed` bounds missed and early turns and sessions refused or dropped, together. `max_late_percent` 5 is the
    same as "p95 within 100 ms of the ideal".
    """
    lost = found.missed + found.early + sum(found.refused.values()) + sum(found.dropped.values())
    cpu_ms = found.server_cpu_ms_per_session_s
    broken = []
    if max_missed is not None and lost > max_missed:
        broken.append(
            f"{found.missed} turns missed, {found.early} early, {sum(found.refused.values())} sessions refused and "
            f"{sum(found.dropped.values())} dropped; at most {max_missed} together are allowed"
        )
    if max_missed is not None and not found.turns:
        broken.append("no turn ended while measuring; measure longer (--duration)")
    if max_late_percent is not None and found.late_percent > max_late_percent:
        beyond_ms = round(LATE_BEYOND_IDEAL_S * 1000)
        broken.append(
            f"{found.late_percent} % of the replies came later than the ideal + {beyond_ms} ms; at most {max_late_percent} % may"
        )
    if max_unstopped is not None and found.unstopped > max_unstopped:
        broken.append(f"{found.unstopped} replies were not stopped by a barge-in; at most {max_unstopped} may be")
    if max_cpu_ms is not None and cpu_ms is not None and cpu_ms > max_cpu_ms:
        broken.append(
            f"the server used {cpu_ms} ms of processor time per session-second; at most {max_cpu_ms} ms are allowed"
        )
    return broken
