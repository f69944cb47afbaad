"""What a connection may send: by the work that it makes, at exactly its rate."""

from __future__ import annotations

from parley.server.links.budget import MessageBudget

SECOND = 1_000_000_000


def spent(budget: MessageBudget) -> MessageBudget:
    """The budget with its first second's worth gone, and ten seconds' debt."""
    for _ in range(11 * budget.per_second):
        budget.spend(0)
    return budget


def test_a_budget_asked_often_fills_as_fast_as_one_asked_seldom() -> None:
    """Fractions of a token count: a link that asks every 0.9 ms at 1,000 tokens a second would else never earn one."""
    now_ns = 0
    budget = spent(MessageBudget(1_000, lambda: now_ns))
    asked = 0
    while budget.wait_s() > 0:
        now_ns += 900_000
        asked += 1
    assert asked == -(-10 * SECOND // 900_000)


def test_the_budget_never_exceeds_one_second() -> None:
    now_ns = 0
    budget = spent(MessageBudget(100, lambda: now_ns))
    now_ns = 1_000 * SECOND
    assert budget.wait_s() == 0
    for _ in range(100):
        budget.spend(0)
    assert not budget.spent
    budget.spend(0)
    assert budget.spent


def test_values_cost_as_much_as_messages_of_their_work() -> None:
    budget = MessageBudget(100, lambda: 0)
    budget.charge(64 * 100)
    assert not budget.spent
    budget.charge(64)
    assert budget.spent


def test_a_frame_read_whole_costs_more_than_one_that_came_in_pieces() -> None:
    whole, pieces = MessageBudget(1_000, lambda: 0), MessageBudget(1_000, lambda: 0)
    for budget, spend in ((whole, whole.spend_whole), (pieces, pieces.spend)):
        spend(15 * 1024 * 1024)
        assert budget.spent is (budget is whole)
