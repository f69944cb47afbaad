"""Selects and shortens the items of a prompt that exceed the model's context.

Laws: the question (the last message of the user and all that follows it) is never left out: its longest texts are shortened, with a note
in their place, or there is no prompt; what came before it is left out oldest first; a call and its outcome are shown or left out together.
Pure functions of items; they know no session.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from parley.core.words.errors import PeerError
from parley.core.words.ids import ItemId
from parley.core.words.item_texts import bond, images, prompt_messages, shortenable_texts, whole_texts, with_texts
from parley.core.words.items import Item, Message
from parley.core.words.limits import MIN_SHOWN_CHARACTERS
from parley.core.words.settings import Truncation

CHARACTERS_PER_TOKEN = 4
_IMAGE_TOKENS = 800
_MESSAGE_TOKENS = 4


@dataclass(frozen=True, slots=True)
class PromptBudget:
    """The tokens of one prompt: `fixed_tokens` for its instructions and tools, `context_tokens` in all."""

    fixed_tokens: int
    context_tokens: int
    truncation: Truncation

    @property
    def for_items(self) -> int:
        """Tokens left for the items."""
        left = self.context_tokens - self.fixed_tokens
        most = self.truncation.post_instructions
        return left if most is None else min(left, most)


@dataclass(frozen=True, slots=True)
class Shown:
    """The items of a prompt. `first` is the oldest one from which all are shown, None where nothing was left out."""

    items: tuple[Item, ...]
    first: ItemId | None = None


def fit(items: Sequence[Item], budget: PromptBudget) -> Shown:
    """As much of `items`, which are in order and none of them empty, as the budget allows.

    Raises `PeerError` (`context_length_exceeded`) where truncation is disabled, or where the question does not fit even shortened.
    """
    limit = budget.for_items
    sizes = [tokens_of(item) for item in items]
    total = sum(sizes)
    if total <= limit:
        return Shown(tuple(items))
    if budget.truncation.mode == "disabled":
        raise PeerError(
            f"The conversation has about {total + budget.fixed_tokens} tokens, the model takes {budget.context_tokens}; "
            "delete items or set session.truncation to 'auto'.",
            code="context_length_exceeded",
            field="session.truncation",
        )
    start, kept = _recent(items, sizes, int(limit * budget.truncation.retention_ratio))
    shown = tuple(items[at] for at in kept)
    fits = sum(sizes[at] for at in kept) <= limit
    return Shown(shown if fits else _shortened(shown, budget), items[start].id if start else None)


def older(items: Sequence[Item], goal: int) -> tuple[Item, ...]:
    """The oldest items, without which the others have at most `goal` tokens, or are the question."""
    _, kept = _recent(items, [tokens_of(item) for item in items], goal)
    recent = set(kept)
    return tuple(item for at, item in enumerate(items) if at not in recent)


def _recent(items: Sequence[Item], sizes: Sequence[int], goal: int) -> tuple[int, list[int]]:
    """Where the last items of at most `goal` tokens begin, and the positions of those that are kept: they, what belongs to them, and in
    any case the question."""
    outlasting = _outlasting(items)
    leaving: dict[int, int] = {}  # by the position that the cut has passed: the tokens that leave the prompt there
    for at, size in enumerate(sizes):
        leaving[outlasting[at]] = leaving.get(outlasting[at], 0) + size
    start, question, total = 0, _question(items), sum(sizes)
    while start < question and total > goal:
        total -= leaving.get(start, 0)
        start += 1
    return start, [at for at in range(len(items)) if outlasting[at] >= start]


def _outlasting(items: Sequence[Item]) -> list[int]:
    """For each item the position of the last one that it belongs to: it is shown for as long as that one is."""
    last = {bond(item): at for at, item in enumerate(items)}
    return [at if (shared := bond(item)) is None else last[shared] for at, item in enumerate(items)]


def _question(items: Sequence[Item]) -> int:
    """The index of the user's last message; without any, of the last item."""
    asked = (at for at in range(len(items) - 1, -1, -1) if asks(items[at]))
    return next(asked, len(items) - 1)


def asks(item: Item) -> bool:
    """Whether it is a message of the user: the last one is the question that a reply answers."""
    return isinstance(item, Message) and item.role == "user"


# --- shortening --------------------------------------------------------------------------------------------------------------


def _shortened(items: tuple[Item, ...], budget: PromptBudget) -> tuple[Item, ...]:
    """The items with their longest texts cut to one length, the greatest with which all of them fit."""
    lengths = [len(text) for item in items for text in shortenable_texts(item)]
    rest = sum(tokens_of(item) for item in items) - sum(map(text_tokens, lengths))

    def tokens(longest: int) -> int:
        return rest + sum(text_tokens(min(length, longest)) for length in lengths)

    shortest = MIN_SHOWN_CHARACTERS
    fitting = bisect_right(range(shortest, max(lengths, default=0) + 1), budget.for_items, key=tokens)
    if not fitting:
        raise PeerError(
            f"The user's last message and what follows it have about {tokens(shortest)} tokens where they are shortened, the "
            f"instructions and tools about {budget.fixed_tokens}, and {budget.for_items + budget.fixed_tokens} are allowed; "
            "delete items, shorten the instructions, or have the owner raise the pipeline's context_tokens.",
            code="context_length_exceeded",
        )
    longest = shortest + fitting - 1
    return tuple(with_texts(item, [shortened(text, longest) for text in shortenable_texts(item)]) for item in items)


def shortened(text: str, longest: int) -> str:
    """`text` in at most `longest` characters (at least 100): its beginning and its end, and how much is missing between them."""
    if len(text) <= longest:
        return text
    kept = longest - len(_note(len(text)))
    end = kept // 3
    return text[: kept - end] + _note(len(text) - kept) + text[len(text) - end :]


def _note(characters: int) -> str:
    return f" [... {characters} characters are left out here: they exceed the model's context ...] "


# --- estimates ---------------------------------------------------------------------------------------------------------------


def text_tokens(characters: int) -> int:
    """Estimated tokens of a text: four characters each, the rule of thumb for English text."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def tokens_of(item: Item) -> int:
    """Tokens that an item takes in a prompt, estimated from its characters."""
    texts = sum(text_tokens(len(text)) for text in shortenable_texts(item))
    whole = text_tokens(sum(map(len, whole_texts(item))))
    return _MESSAGE_TOKENS * prompt_messages(item) + texts + whole + _IMAGE_TOKENS * images(item)
