"""From where partitions are read, with a stand-in for the broker that says what there is."""

import numpy as np
import pytest
from data_monitor.adapters.exporter import Health
from data_monitor.adapters.kafka import Unavailable
from data_monitor.config import Config
from data_monitor.core.bins import Numeric
from data_monitor.core.judge import Judge, Rules
from data_monitor.core.monitor import Monitor, Times
from data_monitor.core.panes import PartitionState
from data_monitor.core.reference import Reference
from data_monitor.partitions import Partitions
from data_monitor.readers import Alone, Patience

NOW = 1_700_000_000.0


class Broker:
    """Stands in for a Source: topics with bounds of their partitions."""

    def __init__(self, **topics):
        self.topics = topics
        self.assigned = {}

    def partitions(self, topic):
        if topic not in self.topics:
            raise Unavailable(f"topic {topic}: unknown")
        return [(topic, partition) for partition in range(len(self.topics[topic]))]

    def bounds(self, key):
        return self.topics[key[0]][key[1]]

    def topic_id(self, topic):
        return ""

    def offset_since(self, key, milliseconds):
        return self.bounds(key)[1] - 10

    def assign(self, offsets):
        self.assigned = dict(offsets)


def reader(broker, **kafka):
    config = Config(reference="r", kafka=kafka)
    monitor = Monitor(Judge(Reference((Numeric("x", ()),), np.ones(2, np.int64)), Rules()), Times())
    alone = Alone(["predictions", "events-dlq"], monitor, broker, Partitions(config, monitor, broker), lambda: NOW)
    return alone, monitor


@pytest.mark.parametrize(("start", "offset"), [("latest", 50), ("earliest", 20)])
def test_the_first_start_and_a_partition_that_appears_later(start, offset):
    broker = Broker(predictions=[(20, 50)])
    alone, monitor = reader(broker, startAt=start)
    alone.begin({}, Patience(Health()))
    assert broker.assigned == {("predictions", 0): offset}
    broker.topics |= {"predictions": [(20, 60), (0, 7)], "events-dlq": [(0, 3)]}
    alone.look(NOW)
    assert broker.assigned == {("predictions", 0): offset, ("predictions", 1): 0, ("events-dlq", 0): 0}
    assert monitor.counted() == {}


def test_saved_states_go_on_and_those_without_their_topic_are_kept():
    broker = Broker(predictions=[(20, 50), (40, 90)])
    alone, monitor = reader(broker)
    saved = {
        ("predictions", 0): PartitionState(30),
        ("predictions", 1): PartitionState(30),
        ("events-dlq", 0): PartitionState(8),
        ("elsewhere", 0): PartitionState(8),
    }
    alone.begin(saved, Patience(Health()))
    assert broker.assigned == {("predictions", 0): 30, ("predictions", 1): 40}
    assert monitor.counted() == {"skipped": 10}
    assert set(monitor.states) == set(saved) - {("elsewhere", 0)}
    broker.topics["events-dlq"] = [(0, 9)]
    alone.look(NOW)
    assert broker.assigned["events-dlq", 0] == 8


def test_a_topic_made_anew_is_a_new_epoch_and_beats_every_older_state():
    broker = Broker(predictions=[(0, 50)])
    alone, monitor = reader(broker)
    before = PartitionState(70)
    alone.begin({("predictions", 0): before}, Patience(Health()))
    after = monitor.states["predictions", 0]
    assert broker.assigned == {("predictions", 0): 0}
    assert after.progress > PartitionState(70).progress


def test_skip_ahead_only_where_the_last_record_is_older_than_any_window():
    broker = Broker(predictions=[(0, 500), (0, 500)])
    alone, monitor = reader(broker)
    old, recent = (round((NOW - age) * 1000) for age in (3600, 60))
    saved = {("predictions", p): PartitionState(100, record_ms=ms) for p, ms in enumerate((old, recent))}
    alone.begin(saved, Patience(Health()))
    assert broker.assigned == {("predictions", 0): 490, ("predictions", 1): 100}
    assert monitor.counted() == {"skipped": 390}
