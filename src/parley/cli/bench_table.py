"""Shows a load run in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from parley.load.drive import LoadPlan, LoadProgress
    from parley.load.report import LoadFigures, Percentiles


def progress_line(progress: LoadProgress, plan: LoadPlan) -> str:
    """One line for a spinner."""
    phase = "measuring" if progress.measuring else "joining" if progress.joined < progress.sessions else "ending"
    return (
        f"{phase} {progress.live}/{progress.sessions} sessions, {progress.elapsed_s:.0f} s "
        f"(+{plan.spread_s:.0f} joining, {plan.duration_s:.0f} measured): {progress.turns} turns, {progress.missed} missed, "
        f"{progress.early} early, {progress.late} late; own sends at worst {progress.worst_send_ms:.0f} ms late"
    )


def print_table(found: LoadFigures) -> None:
    """Print the figures to stdout."""
    table = Table(
        title=f"{found.joined} of {found.sessions} sessions, {found.window_s:g} s at {found.url}", title_justify="left"
    )
    table.add_column("what")
    for name in ("p50", "p95", "p99", "max", "n"):
        table.add_column(name, justify="right")
    wait = f"silence wait {found.silence_ms} ms" if found.silence_ms is not None else "silence wait unknown"
    _add(table, "end of speech to first audio, ms", found.first_audio)
    _add(table, f"  beyond the ideal of {found.ideal_ms:g} ms ({wait} + stages), ms", found.beyond_ideal)
    if found.barge_ins:
        _add(table, "voice over the reply to silence, ms", found.barge_in_to_silence)
        _add(table, "  to speech_started, ms", found.barge_in_to_speech_started)
        _add(table, "  to response.done cancelled, ms", found.barge_in_to_cancelled)
    console = Console(soft_wrap=True, emoji=False)
    console.print(table)
    print_line = console.print
    print_line(
        f"turns {found.turns}: missed {found.missed}, early {found.early}, late {found.late} ({found.late_percent:g} %), "
        f"unasked replies {found.stray}, failed {found.failed}, without an end {found.unfinished}"
    )
    if found.fillers:
        print_line(f"fillers {found.fillers}: heard before a reply, and not counted as its audio")
    if found.barge_ins:
        print_line(f"barge-ins {found.barge_ins}: not stopped {found.unstopped}, audio after the end {found.leaked}")
    if found.server_cpu_ms_per_session_s is not None:
        print_line(
            f"server: {found.server_cpu_ms_per_session_s:g} ms CPU per session-second ({found.server_cpu_percent:g} % of a core), "
            f"{found.server_rss_mib:g} MiB in {found.server_processes} process(es), "
            f"{found.server_rss_kib_per_session:g} KiB more per session"
        )
    print_line(
        f"client: {found.client_cpu_percent:g} % of a core; own sends late by {found.send_lateness_p99_ms} ms (p99), "
        f"{found.send_lateness_max_ms:g} ms (max)"
    )
    for reason, count in found.refused.items():
        print_line(f"refused {count}: {reason}", markup=False)
    for reason, count in found.dropped.items():
        print_line(f"dropped {count}: {reason}", markup=False)
    if found.error_count:
        print_line(f"errors {found.error_count}: {'; '.join(found.errors)}", markup=False)


def _add(table: Table, name: str, spread: Percentiles) -> None:
    values = (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms)
    table.add_row(name, *("-" if value is None else f"{value:.0f}" for value in values), str(spread.count))
