"""From where on partitions are read: with and without a saved state, and where the topic is no longer as it was.

What a topic has had and is not counted is counted as skipped, so that both add up to what was written.
"""

from __future__ import annotations

import logging

from data_monitor.adapters.kafka import Source
from data_monitor.config import Config
from data_monitor.core.monitor import Monitor
from data_monitor.core.panes import Key, PartitionState

log = logging.getLogger(__name__)


class Partitions:
    """Decides by the broker's bounds and the saved states."""

    def __init__(self, config: Config, monitor: Monitor, source: Source) -> None:
        self._topic = config.kafka.topic
        self._from_start = config.kafka.start_at == "earliest"
        self._skip = config.window.skip_ahead
        self._reach_ms = monitor.times.window + monitor.times.hold_back
        self._monitor = monitor
        self._source = source

    def beginning(self, key: Key, *, appeared: bool) -> PartitionState:
        """The state of a partition nobody has read yet. Raises Unavailable.

        ``appeared``: it was not there when the monitor began, so that all of it is new.
        """
        if appeared:
            return PartitionState(0)
        low, high = self._source.bounds(key)
        return PartitionState(low if self._from_start else high)

    def take_up(self, key: Key, saved: PartitionState | None, *, appeared: bool, now: float) -> None:
        """Adopt a partition with its saved state, mended where the topic has changed. Raises Unavailable."""
        state = saved or self.beginning(key, appeared=appeared)
        # Asked before it is mended: what is skipped from here on is this process's account.
        bounds = self._source.bounds(key)
        if self._monitor.states.get(key) is not state:
            self._monitor.adopt(key, state, now)
        self._mend(key, state, bounds)
        self.skip_ahead(key, state, now)

    def begin_anew(self, key: Key, topic_id: str, verified: int) -> None:
        """Go on with another topic of the same name. Raises Unavailable.

        Offsets from ``verified`` on may have been read from the new topic already, without anybody having noticed.
        """
        state = self._monitor.states[key]
        low, high = self._source.bounds(key)
        read = state.next_offset
        log.warning("%s/%d: the topic was made anew (%d records read of the old one); reading it", *key, verified)
        state.begin_anew(0, topic_id, (verified, read) if verified < read <= high else (0, 0))
        self._skip_deleted(key, state, low)

    def _mend(self, key: Key, state: PartitionState, bounds: tuple[int, int]) -> None:
        low, high = bounds
        if state.next_offset > high:
            topic_id = self._source.topic_id(key[0])
            if topic_id and topic_id == state.topic_id:
                # The end of the log was lost, as when a replica that lags becomes the leader (KIP-320).
                first = min(self._source.offset_since(key, state.record_ms + 1), high)
                log.warning("%s/%d: cut off at %d, read up to %d; going on at %d", *key, high, state.next_offset, first)
                state.begin_anew(first, topic_id)
            else:
                log.warning("%s/%d: ends at %d, the state at %d: made anew; reading it", *key, high, state.next_offset)
                state.begin_anew(0, topic_id)
        self._skip_deleted(key, state, low)

    def skip_ahead(self, key: Key, state: PartitionState, now: float) -> bool:
        """Whether records were left out that no window of now would hold. Raises Unavailable."""
        since = round(now * 1000) - self._reach_ms
        if not self._skip or key[0] != self._topic or not 0 <= state.record_ms < since:
            return False
        target = self._source.offset_since(key, since)
        if target <= state.next_offset:
            return False
        log.warning("%s/%d: skipped %d records older than the window", *key, target - state.next_offset)
        self._skip_to(state, target)
        return True

    def _skip_deleted(self, key: Key, state: PartitionState, low: int) -> None:
        if state.next_offset < low:
            log.warning("%s/%d: %d records were deleted before they were read", *key, low - state.next_offset)
            self._skip_to(state, low)

    @staticmethod
    def _skip_to(state: PartitionState, offset: int) -> None:
        state.counters["skipped"] += offset - state.next_offset
        state.next_offset = offset
