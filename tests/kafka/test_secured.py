"""The data monitor with a broker as production has them: TLS, a password, and no right that was not given."""

import pytest
from certificates import make_certificate
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AclOperation, ResourceType
from monitor_process import predictions, until

READ = AclOperation.READ
RECORDS = "data_monitor_records_total"


@pytest.fixture
def user(broker, topic):
    """One for each test, who may do nothing yet."""
    broker.add_user(topic, "right")
    return topic


@pytest.fixture
def secured(broker, monitor, user):
    """Start a data monitor as the chart does for profiles/existing-kafka-values.yaml."""

    def start(password="right", authority=broker.authority, **sections):
        properties = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "ssl.ca.location": str(authority),
        }
        environment = {"KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": password}
        return monitor(broker.secured_address, environment, kafka={"properties": properties}, **sections)

    return start


def says(process, text):
    until(lambda: text in process.log.read_text(), f"{text!r} is said")


def test_reading_takes_the_rights_to_read_topic_and_group(broker, secured, user, topic):
    broker.allow(user, ResourceType.TOPIC, topic, READ)
    broker.allow(user, ResourceType.GROUP, topic, READ)
    process = secured()
    broker.send(topic, predictions(1000))
    process.wait_for(RECORDS, lambda value: value == 1000)
    assert process.stop() == 0
    group = broker.committed(topic, [TopicPartition(topic, partition) for partition in (0, 1)])
    assert sum(one.offset for one in group) == 1000
    assert "WARNING" not in process.log.read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "wrong"}, "SASL authentication error: Authentication failed"),
        ({"authority": "another.crt"}, "certificate verify failed"),
    ],
)
def test_who_is_not_let_in_says_why(secured, tmp_path, wrong, said):
    make_certificate(tmp_path / "another.key", tmp_path / "another.crt")
    wrong = {key: tmp_path / value if key == "authority" else value for key, value in wrong.items()}
    process = secured(**wrong)
    says(process, said)
    assert process.metrics(), "it goes on"


def test_rights_are_waited_for(broker, secured, user, topic):
    states = f"{topic}-state"
    process = secured(state={"store": "topic", "topic": states, "every": "200ms"})
    broker.send(topic, predictions(1000))
    says(process, f"topic {states}: Broker: Topic authorization failed")
    broker.allow(user, ResourceType.TOPIC, states, READ, AclOperation.WRITE, AclOperation.CREATE)
    says(process, f"made the compacted topic {states}")
    says(process, f"topic {topic}: Broker: Topic authorization failed")
    broker.allow(user, ResourceType.TOPIC, topic, READ)
    says(process, "Group authorization failed")
    broker.allow(user, ResourceType.GROUP, topic, READ)
    process.wait_for(RECORDS, lambda value: value == 1000)


def test_reading_goes_on_when_a_right_comes_back(broker, secured, user, topic):
    """And the group, which only lag tools look at, is not needed for it."""
    broker.allow(user, ResourceType.TOPIC, topic, READ)
    process = secured()
    broker.send(topic, predictions(1000))
    process.wait_for(RECORDS, lambda value: value == 1000)
    broker.disallow(ResourceType.TOPIC, topic)
    says(process, f"topic {topic}: Fetch from broker 1 failed: Broker: Topic authorization failed")
    broker.send(topic, predictions(600))
    broker.allow(user, ResourceType.TOPIC, topic, READ)
    seen = process.wait_for(RECORDS, lambda value: value >= 1600)
    assert (seen[RECORDS], seen["data_monitor_skipped_records_total"]) == (1600, 0)
