"""`parley bench`: load any Realtime server with real-time speech and measure it.

Laws: the table (or JSON) is on stdout, progress and doubts on stderr; exit 1 when a bar that was asked for is broken.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.bench_table import print_table, progress_line
from parley.cli.failures import CommandFailed
from parley.invocation import command

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from parley.load.drive import LoadPlan, LoadRecord
    from parley.load.recording import SpeechRecording
    from parley.load.report import LoadFigures


@click.command(
    epilog="\b\nExamples:\n"
    '  parley say "What is the weather in Paris?" -o speech.wav\n'
    "  parley serve --pipeline bench --port 8000 &\n"
    "  parley bench --url ws://127.0.0.1:8000 --sessions 200 --wav speech.wav --pid $!\n"
    "  parley bench --url ws://127.0.0.1:8000 --wav speech.wav --barge-in --json > result.json\n"
    "  parley bench --url wss://api.openai.com --model gpt-realtime --api-key-env OPENAI_API_KEY \\\n"
    "      --wav speech.wav --stage-ms 0"
)
@click.option("--url", help="The server: ws://HOST:PORT; /v1/realtime is added where there is no path.")
@click.option("--sessions", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Sessions at once.")
@click.option(
    "--wav",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One utterance, 16-bit PCM, any rate; each session says it in every turn.",
)
@click.option("--duration", "duration_s", type=click.FloatRange(1, 86_400), default=30.0, show_default=True,
              help="Seconds to measure, once all sessions have joined.")  # fmt: skip
@click.option(
    "--pid", type=click.IntRange(1), help="The server's process: its and its children's CPU and memory are measured."
)
@click.option("--barge-in", is_flag=True, help="Talk over each reply instead of hearing it out.")
@click.option("--barge-after-ms", type=click.IntRange(0, 10_000), default=100, show_default=True,
              help="How long after a reply's first audio to talk over it.")  # fmt: skip
@click.option("--chunk-ms", type=click.IntRange(5, 200), default=20, show_default=True, help="Audio per message.")
@click.option("--gap-ms", type=click.IntRange(0, 60_000), default=500, show_default=True,
              help="Silence between the end of a reply and the next turn.")  # fmt: skip
@click.option("--spread", "spread_s", type=click.FloatRange(0, 3600), default=None,
              help="Seconds over which the sessions join; default: one turn and its reply.")  # fmt: skip
@click.option("--silence-ms", type=click.IntRange(0, 10_000),
              help="Ask for server_vad with this silence wait; default: whatever the server does by itself.")  # fmt: skip
@click.option("--stage-ms", type=click.FloatRange(0), default=400.0, show_default=True,
              help="What the server's stages take by themselves (pipeline `bench`: 100 + 200 + 100).")  # fmt: skip
@click.option("--ideal-ms", type=click.FloatRange(0),
              help="End of speech to first audio at best; default: the silence wait the session reports + --stage-ms.")  # fmt: skip
@click.option("--model", help="Sent as ?model=.")
@click.option("--api-key-env", default="PARLEY_API_KEY", show_default=True, metavar="NAME",
              help="The environment variable that holds the key; no key is sent when it is unset.")  # fmt: skip
@click.option(
    "--max-missed", type=click.IntRange(0), help="Fail when more turns are missed or early, or sessions lost."
)
@click.option("--max-late", "max_late_percent", type=click.FloatRange(0, 100),
              help="Fail when over this percentage of replies comes 100 ms later than the ideal (5: a bar on p95).")  # fmt: skip
@click.option("--max-unstopped", type=click.IntRange(0), help="Fail when more barge-ins do not stop the reply.")
@click.option("--max-cpu-ms", type=click.FloatRange(0), help="Fail when the server takes more CPU per session-second.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_context
def bench(
    ctx: click.Context,
    /,
    url: str | None,
    sessions: int,
    wav: Path | None,
    duration_s: float,
    pid: int | None,
    barge_in: bool,
    barge_after_ms: int,
    chunk_ms: int,
    gap_ms: int,
    spread_s: float | None,
    silence_ms: int | None,
    stage_ms: float,
    ideal_ms: float | None,
    model: str | None,
    api_key_env: str,
    max_missed: int | None,
    max_late_percent: float | None,
    max_unstopped: int | None,
    max_cpu_ms: float | None,
    as_json: bool,
) -> None:
    """Load the Realtime server at URL with speech in real time, and measure how soon it answers.

    Every session speaks the WAV in chunks as a microphone would deliver them, goes on sending silence, waits for the reply's first
    audio, hears the reply out and speaks again. The end of the speech is found in the recording, by its energy. A filler of a Parley ("one
    moment") is counted, and is no reply.

    The ideal is the session's silence wait (turn_detection.silence_duration_ms) plus the time the stages take by themselves;
    what is left beyond it is the server's own.
    """
    if url is None or wav is None:
        raise _incomplete(url, wav)
    from parley.client.urls import realtime_url
    from parley.load.conversation import Script
    from parley.load.drive import LoadPlan
    from parley.load.recording import cut_track, load_recording
    from parley.load.report import broken_bars, figures

    recording = load_recording(wav)
    script = Script(
        track=cut_track(recording, chunk_ms),
        stage_s=stage_ms / 1000,
        ideal_s=ideal_ms / 1000 if ideal_ms is not None else None,
        gap_s=gap_ms / 1000,
        barge_after_s=barge_after_ms / 1000 if barge_in else None,
    )
    plan = LoadPlan(
        url=realtime_url(url, model),
        sessions=sessions,
        script=script,
        duration_s=duration_s,
        # A turn, the wait for its reply, and a reply of about a second.
        spread_s=spread_s if spread_s is not None else (recording.duration_s + 2 + script.gap_s) * (sessions > 1),
        silence_ms=silence_ms,
        api_key=os.environ.get(api_key_env),
        pid=pid,
    )
    record = _run(_watched(plan))
    found = figures(plan, record)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        print_table(found)
    _warn(record, recording, found, chunk_ms)
    broken = broken_bars(
        found,
        max_missed=max_missed,
        max_late_percent=max_late_percent,
        max_unstopped=max_unstopped,
        max_cpu_ms=max_cpu_ms,
    )
    for bar in broken:
        click.echo(f"parley bench: bar broken: {bar}", err=True)
    if broken:
        ctx.exit(1)


def _incomplete(url: str | None, wav: Path | None) -> CommandFailed:
    """All that is missing at once, and how to get it."""
    missing = {"--url": url is None, "--wav": wav is None}
    names = " and ".join(name for name, is_missing in missing.items() if is_missing)
    steps = []
    if wav is None:
        steps.append(f"Make a recording: {command('say', 'What is the weather in Paris?', '-o', 'speech.wav')}")
    if url is None:
        steps.append(f"Start a server in another terminal: {command('serve', '--pipeline', 'bench', '--port', '8000')}")
    whole = ("bench", "--url", url or "ws://127.0.0.1:8000", "--wav", str(wav or "speech.wav"))
    return CommandFailed(f"A load test needs {names}.", "\n".join([*steps, f"Then: {command(*whole)}"]))


def _warn(record: LoadRecord, recording: SpeechRecording, found: LoadFigures, chunk_ms: int) -> None:
    """Warnings about figures that are easily misread."""
    if record.silence_ms is not None and recording.longest_pause_ms >= record.silence_ms:
        _print_warning(
            f"the recording holds a pause of {recording.longest_pause_ms} ms, longer than the silence wait of "
            f"{record.silence_ms} ms: replies inside it count as early; use one utterance, or a longer --silence-ms"
        )
    if not found.believed:
        _print_warning(
            f"do not believe this run: {100 * found.send_late_share:.1f} % of the client's own sends were over {chunk_ms} ms late "
            f"(the worst {found.send_lateness_max_ms:.0f} ms); give the client a core of its own, or drive fewer sessions"
        )


def _print_warning(text: str) -> None:
    click.echo(f"parley bench: {text}", err=True)


def _run(work: Coroutine[Any, Any, LoadRecord]) -> LoadRecord:
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _watched(plan: LoadPlan) -> LoadRecord:
    from rich.console import Console
    from rich.status import Status

    from parley.load.drive import Fleet

    console = Console(stderr=True, emoji=False)
    if not sys.stderr.isatty():
        return await Fleet(plan, lambda progress: None).run()
    status = Status("dialling", console=console, refresh_per_second=1)
    with status:
        return await Fleet(plan, lambda progress: status.update(progress_line(progress, plan))).run()
