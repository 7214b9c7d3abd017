"""What must hold of every replay, whatever the history looks like."""

from datetime import timedelta
from itertools import pairwise

from backtest_worlds import deployment, fires, policy, replay
from hypothesis import given
from hypothesis import strategies as st
from remediator.core.backtest.records import Kind, Record
from remediator.core.backtest.report import answered, people, total

APPS = ("a", "b", "c")
alerts = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(1, 300), st.sampled_from(APPS), st.sampled_from(["Lag", "Slow"])),
    max_size=30,
)
budgets = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([60, 600])), max_size=2)
sometimes = st.booleans()


@given(alerts=alerts, budget=budgets, cooldown=st.sampled_from([0, 15, 90]), storm=sometimes, helps=sometimes)
def test_budgets_and_cooldowns_hold_and_one_acts_at_a_time(
    alerts: list[tuple[int, int, str, str]], budget: list[tuple[int, int]], cooldown: int, storm: bool, helps: bool
) -> None:
    guards = {
        "budget": [{"max": most, "per": f"{per}m"} for most, per in budget],
        "cooldown": f"{cooldown}m",
        "storm": {"maxTargets": 1, "per": "10m"} if storm else None,
    }
    ladder = [{"type": "Scale", "scale": {"parallelism": 30_000}}, {"type": "Restart"}]
    policies = [policy("a", guards=guards, actions=ladder), policy("b", "Slow", guards=guards, actions=[ladder[1]])]
    found = [fires(begin, begin + length, app, alert) for begin, length, app, alert in alerts]
    records = replay(policies, found, [deployment(app) for app in APPS], helps=helps)
    for app in APPS:
        of_app = [record for record in records if record.target_ref.name == app]
        begun = sorted(moment for record in of_app for moment in record.actions)
        for most, per in budget:
            for moment in begun:
                assert sum(moment - timedelta(minutes=per) < other <= moment for other in begun) <= most
        acted = sorted((r for r in of_app if r.actions), key=lambda r: r.actions[0])
        for before, after in pairwise(acted):
            assert before.finished is not None
            assert after.actions[0] - before.finished >= timedelta(minutes=cooldown)
    assert all(record.phase.terminal for record in records)
    told_of_all(records)


def told_of_all(records: list[Record]) -> None:
    tally = total(records)
    assert tally.incidents == len(records) == tally.phases.total()
    assert tally.acts.total() == sum(len(record.actions) for record in records)
    assert people(records) <= answered(records)
    for record in records:
        times = [step.time for step in record.steps if step.kind is not Kind.BACK]
        assert times == sorted(times)
        assert sum(record.waited.values(), timedelta(0)) <= (record.finished or times[-1]) - record.created


@given(alerts=alerts)
def test_a_storm_is_acted_in_only_when_few_enough_fire(alerts: list[tuple[int, int, str, str]]) -> None:
    found = [fires(begin, begin + length, app) for begin, length, app, _ in alerts]
    stormy = policy(guards={"storm": {"maxTargets": 1, "per": "2000m"}})
    records = replay([stormy], found, [deployment(app) for app in APPS], helps=False)
    for record in records:
        for moment in record.actions[:1]:
            fire = {r.key for r in records if r.created <= moment and (r.ends_at is None or r.ends_at > moment)}
            assert fire <= {record.key}
