"""What can be wrong with a record: a fixed list, so that the number of series is bounded."""

from typing import Final

MALFORMED: Final = "malformed_json"
"""The bytes are no JSON, or no object."""
NO_TIME: Final = "missing_time"
"""The event's time is absent or no number."""
BAD_TIME: Final = "time_out_of_range"
"""A time before the year 2000 or far ahead of the clock: another unit, a wrong clock."""
WRONG_TYPE: Final = "wrong_type"
"""A field has another type than the reference; it counts as missing, the rest of the record is used."""
OTHER_REFERENCE: Final = "reference_mismatch"
"""A pane record made with another reference or another pane length."""

VALIDATION: Final = (MALFORMED, NO_TIME, BAD_TIME, WRONG_TYPE, OTHER_REFERENCE)

OTHER: Final = "other"
"""A dead letter whose error type is not in the configured list, or that names none."""
