"""Truncated propagation: every frame is reached once, from its nearest interacted frame."""

from hypothesis import given
from hypothesis import strategies as st

from siaf.session.schedule import LANES, Chain, Plan, chains, stages, walks


def owner_of_frames(n_frames: int, interacted: dict[int, int]) -> list[int]:
    """The definition: nearest interacted frame; a tie goes to the newer round, then to the earlier frame."""
    return [min(interacted, key=lambda s: (abs(s - f), -interacted[s], s)) for f in range(n_frames)]


def source_of(frame: int, n_frames: int, interacted: dict[int, int]) -> int:
    return next(c.source for c in chains(n_frames, interacted) if frame in c.frames)


def test_one_interacted_frame_reaches_both_ends() -> None:
    assert chains(5, {2: 1}) == [Chain(2, (3, 4)), Chain(2, (1, 0))]


def test_chains_stop_at_the_midpoint_of_neighbours() -> None:
    assert chains(7, {0: 1, 5: 1}) == [Chain(0, (1, 2)), Chain(5, (6,)), Chain(5, (4, 3))]


def test_a_tie_goes_to_the_newer_round_then_to_the_earlier_frame() -> None:
    assert source_of(2, 5, {0: 1, 4: 1}) == 0
    assert source_of(2, 5, {0: 1, 4: 2}) == 4
    assert source_of(2, 5, {0: 2, 4: 1}) == 0


def test_the_newest_round_is_propagated_first() -> None:
    assert [c.source for c in chains(20, {2: 1, 10: 3, 17: 2})] == [10, 10, 17, 17, 2, 2]


def test_nothing_is_propagated_without_an_interacted_frame() -> None:
    assert chains(5, {}) == []


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            st.just(n), st.dictionaries(st.integers(0, n - 1), st.integers(1, 4), min_size=1, max_size=8)
        )
    )
)
def test_chains_agree_with_the_nearest_interacted_frame(case: tuple[int, dict[int, int]]) -> None:
    n_frames, interacted = case
    owners = owner_of_frames(n_frames, interacted)
    reached = {frame: chain.source for chain in chains(n_frames, interacted) for frame in chain.frames}
    assert reached == {f: owners[f] for f in range(n_frames) if f not in interacted}
    for chain in chains(n_frames, interacted):
        steps = [abs(b - a) for a, b in zip((chain.source, *chain.frames), chain.frames, strict=False)]
        assert set(steps) == {1}


def test_tags_walk_from_frame_to_frame_in_one_sweep_each_way() -> None:
    known = {4: frozenset({1}), 8: frozenset({2}), 10: frozenset({3})}
    assert walks(known, {1, 2, 3}) == [
        Chain(4, (5, 6, 7, 8), frozenset({1})),
        Chain(8, (9, 10), frozenset({1, 2})),
        Chain(10, (9, 8), frozenset({3})),
        Chain(8, (7, 6, 5, 4), frozenset({2, 3})),
    ]


def test_a_tag_comes_from_the_nearest_frame_that_knows_it() -> None:
    known = {0: frozenset({1, 2}), 20: frozenset({2}), 25: frozenset({1, 2})}
    assert walks(known, {1, 2}) == [Chain(25, (24, 23, 22, 21, 20), frozenset({1}))]


@given(
    st.dictionaries(st.integers(0, 40), st.frozensets(st.integers(1, 4)), min_size=1, max_size=7),
)
def test_after_all_walks_every_frame_knows_every_tag_that_any_frame_knows(
    known: dict[int, frozenset[int]],
) -> None:
    everything = frozenset().union(*known.values())
    learnt = dict(known)
    passed = 0
    for walk in walks(known, everything):
        assert walk.adopts <= learnt[walk.source]  # it was known there, or adopted on the way
        learnt[walk.frames[-1]] |= walk.adopts
        passed += len(walk.frames)
    assert set(learnt.values()) == {everything}
    assert passed <= 2 * (max(known) - min(known))


def test_no_walk_where_every_frame_speaks_for_every_tag() -> None:
    assert walks({4: frozenset({1, 2}), 9: frozenset({1, 2})}, {1, 2}) == []


def run(plan: Plan) -> list[tuple[int, int, int]]:
    """(frame, done, settled) of every step."""
    steps = []
    while not plan.finished:
        frame = plan.remaining_frames[0]
        lane, step = plan.next()
        assert plan.stage[lane].frames[step] == frame
        plan.advance()
        steps.append((frame, plan.done, plan.results_done))
    return steps


def test_a_plan_counts_frames_but_not_walks() -> None:
    plan = Plan([[Chain(4, (5, 6), frozenset({1}))], [Chain(4, (3, 2)), Chain(6, (7,))]])
    assert (plan.total, plan.results) == (3, [6, 3, 7, 2])
    assert run(plan) == [(5, 0, 0), (6, 0, 1), (3, 1, 2), (7, 2, 3), (2, 3, 4)]


def test_frames_next_to_the_newest_round_come_first_on_both_sides() -> None:
    interacted = {0: 1, 30: 2}
    plan = Plan(stages([], chains(40, interacted), interacted))
    assert plan.results[:6] == [31, 29, 32, 28, 33, 27]
    assert set(plan.results) == set(range(40)) - {0, 30}


def test_few_chains_run_at_a_time_however_many_frames_a_round_has() -> None:
    interacted = dict.fromkeys(range(0, 400, 10), 1)
    assert max(map(len, stages([], chains(400, interacted), interacted))) == LANES


def test_walks_run_alone_as_each_starts_where_others_ended() -> None:
    first, second = Chain(4, (5, 6), frozenset({1})), Chain(6, (5, 4), frozenset({2}))
    assert stages([first, second], [], {4: 1, 6: 1}) == [[first], [second]]
