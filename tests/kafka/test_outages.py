"""The data monitor while its broker is away, as each rolling update of Kafka makes it."""

import pytest
from monitor_process import predictions, until

RECORDS = "data_monitor_records_total"


@pytest.mark.parametrize("store", ["file", "topic"])
def test_a_broker_that_was_away_is_read_on(broker, monitor, topic, store):
    # A group waits so long for a member that it does not know any more.
    soon = {"properties": {"session.timeout.ms": 6000}}
    process = monitor(kafka=soon, state={"store": store, "topic": f"{topic}-state", "every": "200ms"})
    broker.send(topic, predictions(1000))
    process.wait_for(RECORDS, lambda value: value == 1000)
    with broker.away():
        until(lambda: "brokers are down" in process.log.read_text(), "it is said")
        assert process.metrics()[RECORDS] == 1000
    broker.send(topic, predictions(600))
    seen = process.wait_for(RECORDS, lambda value: value >= 1600)
    assert (seen[RECORDS], seen["data_monitor_skipped_records_total"]) == (1600, 0)
