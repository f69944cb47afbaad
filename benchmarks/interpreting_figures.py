"""The figures of an interpreted talk: how late it was, whether names and numbers came through, and what the field's tools say.

Ear-voice span, of a clause: from the beginning of its first word in the talk to the moment at which its translation is first heard. The
words of a clause are found in the talk by aligning what the recogniser wrote with what was said.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.interpreting_client import Clause, Interpreted
from benchmarks.interpreting_talk import SpokenWord, Talk

PAUSE_MS = 500
"""The pauses that end a clause at every lag are longer; only they count for the time from a pause to the translation."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A clause, and the first and the last of its words in the talk."""

    clause: Clause
    first: SpokenWord
    last: SpokenWord

    @property
    def ear_voice_span_ms(self) -> float:
        return self.clause.heard_from_ms - self.first.start_ms


def align(talk: Talk, clauses: Sequence[Clause]) -> list[Aligned]:
    """The clauses of which at least one word was found in the talk."""
    heard: list[tuple[str, int]] = []
    for index, clause in enumerate(clauses):
        heard += [(word, index) for word in words_of(clause.source)]
    said = [(plain, word) for word in talk.words for plain in words_of(word.text)]
    matcher = SequenceMatcher(None, [word for word, _ in heard], [word for word, _ in said], autojunk=False)
    found: dict[int, list[SpokenWord]] = {}
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found.setdefault(heard[block.a + offset][1], []).append(said[block.b + offset][1])
    return [
        Aligned(clause, found[index][0], found[index][-1]) for index, clause in enumerate(clauses) if index in found
    ]


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def figures(talk: Talk, interpreted: Interpreted) -> dict[str, Any]:
    """What can be said without another tool. Times are milliseconds."""
    clauses = interpreted.clauses
    aligned = align(talk, clauses)
    spans = [one.ear_voice_span_ms for one in aligned]
    minutes = [[one.ear_voice_span_ms for one in aligned if one.first.start_ms // 60_000 == each] for each in range(11)]
    whole = [each for each in minutes if len(each) >= 5]
    right, all_facts, missed = facts(talk, aligned)
    return {
        "seconds": round(talk.length_ms / 1_000),
        "words_per_minute": round(talk.words_per_minute),
        "clauses": len(clauses),
        "clauses_not_found_in_the_talk": len(clauses) - len(aligned),
        "merged": sum(one.merged > 1 for one in clauses),
        "not_translated": sum(one.outcome != "translated" for one in clauses),
        "errors": interpreted.errors,
        "ear_voice_span": percentiles(spans, 50, 90),
        "ear_voice_span_by_minute": [round(median(each)) for each in whole],
        "pause_to_audio": percentiles(_after_pauses(talk, aligned), 50, 95),
        "decision_to_audio": percentiles([one.waited_ms for one in clauses], 50, 95),
        "spoken_faster": sum(one.speed > 1 for one in clauses),
        "facts": {"right": right, "of": all_facts, "missed": missed},
        "client_late_ms": round(interpreted.late_ms),
    }


def percentiles(values: Sequence[float], *wanted: int) -> dict[str, Any]:
    if len(values) < 2:
        return {"n": len(values)}
    cuts = quantiles(values, n=100, method="inclusive")
    return {**{f"p{each}": round(cuts[each - 1]) for each in wanted}, "n": len(values)}


def _after_pauses(talk: Talk, aligned: Sequence[Aligned]) -> list[float]:
    """From the end of the last word before each pause to the first audio of its translation."""
    ends = {round(sentence.end_ms): sentence for sentence in talk.sentences if sentence.pause_ms >= PAUSE_MS}
    last_words = {
        max((w for w in talk.words if w.sentence == i), key=lambda w: w.end_ms) for i in range(len(talk.sentences))
    }
    return [
        one.clause.audio_at_ms - one.last.end_ms
        for one in aligned
        if one.last in last_words and round(talk.sentences[one.last.sentence].end_ms) in ends
    ]


def facts(talk: Talk, aligned: Sequence[Aligned]) -> tuple[int, int, list[str]]:
    """How many names and numbers of the talk stand in the translation of their sentence, of how many, and those that do not."""
    right, missed = 0, []
    count = 0
    for index, sentence in enumerate(talk.sentences):
        texts = [one.clause.text for one in aligned if one.first.sentence <= index <= one.last.sentence]
        translation = " ".join(" ".join(texts).lower().split())
        for forms in sentence.facts:
            count += 1
            if any(re.search(rf"(?<!\w){re.escape(form.lower())}(?!\w)", translation) for form in forms):
                right += 1
            else:
                missed.append(f"{forms[0]}: {translation}")
    return right, count, missed


# --- the field's tools ------------------------------------------------------------------------------------------------


def scored(talk: Talk, interpreted: Interpreted, language: str, folder: Path) -> dict[str, Any]:
    """LongYAAL, LongLAAL, BLEU and chrF, by OmniSTEval (which scores quality with sacrebleu), of the captions and of the speech.

    The times of a word: without computation ("cu"), when its clause was decided on; with it ("ca"), when it was shown or heard.
    """
    tool = shutil.which("omnisteval")
    if tool is None:
        raise SystemExit("omnisteval is not installed: pip install omnisteval==0.1.10 sacrebleu==2.6.0")
    folder.mkdir(parents=True, exist_ok=True)
    segments = [
        {"wav": "talk.wav", "offset": one.start_ms / 1_000, "duration": (one.end_ms - one.start_ms) / 1_000}
        for one in talk.sentences
    ]
    (folder / "segments.json").write_text(json.dumps(segments))
    references = "".join(f"{one.reference}\n" for one in talk.sentences)
    (folder / "references.txt").write_text(references, encoding="utf-8")
    found = {}
    for name, line in (("captions", _captions(interpreted)), ("speech", _speech(interpreted))):
        hypothesis = folder / f"{name}.jsonl"
        line |= {"source": ["talk.wav"], "source_length": talk.length_ms}
        hypothesis.write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
        command = [tool, "longform", "--speech_segmentation", str(folder / "segments.json"), "--word_level"]
        command += ["--ref_sentences_file", str(folder / "references.txt"), "--hypothesis_file", str(hypothesis)]
        ran = subprocess.run(
            [*command, "--lang", language, "--output_folder", str(folder / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise SystemExit(f"omnisteval failed:\n{ran.stdout}\n{ran.stderr}")
        found[name] = _scores(ran.stdout)
    return found


def _captions(interpreted: Interpreted) -> dict[str, Any]:
    words: list[str] = []
    decided: list[float] = []
    shown: list[float] = []
    for clause in interpreted.clauses:
        new = clause.text.split()
        words += new
        decided += [clause.decided_ms] * len(new)
        shown += [clause.text_at_ms] * len(new)
    return {"prediction": " ".join(words), "delays": decided, "elapsed": shown}


def _speech(interpreted: Interpreted) -> dict[str, Any]:
    """The words of a clause are spread evenly over its audio; without computation each clause begins when it was decided on, or when the
    one before it is over."""
    words: list[str] = []
    ideal: list[float] = []
    heard: list[float] = []
    free_ms = 0.0
    for clause in interpreted.clauses:
        new = clause.text.split()
        length = clause.heard_to_ms - clause.heard_from_ms
        begin = max(clause.decided_ms, free_ms)
        free_ms = begin + length
        words += new
        ideal += [begin + length * index / len(new) for index in range(len(new))]
        heard += [clause.heard_from_ms + length * index / len(new) for index in range(len(new))]
    return {"prediction": " ".join(words), "delays": ideal, "elapsed": heard}


def _scores(report: str) -> dict[str, float]:
    lines = re.findall(r"^\s+(\S.*?)\s{2,}(-?[\d.]+)\s*$", report.partition("Scores")[2], re.MULTILINE)
    return {name: round(float(value), 2) for name, value in lines}
