"""Values as Grafana writes them, for the units that the dashboards use."""

import math
from datetime import UTC, datetime

_SI = ((1e9, "G"), (1e6, "M"), (1e3, "K"))
_IEC = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


def text(value: float, unit: str) -> str:
    """Write a value in a unit of Grafana's. Raises KeyError for a unit that no dashboard uses."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    match unit:
        case "none":
            return _short(value)
        case "short":
            return _scaled(value, _SI, "")
        case "cps" | "reqps":
            return _scaled(value, _SI, "") + "/s"
        case "bytes":
            return _scaled(value, _IEC, "B")
        case "percent":
            return _short(value) + " %"
        case "percentunit":
            return _short(value * 100) + " %"
        case "ms":
            return _scaled(value / 1000, _TIMES, "s") if abs(value) >= 1000 else _short(value) + " ms"
        case "s":
            return _scaled(value, _TIMES, "s")
        case "dateTimeAsIso":
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%H:%M:%S")
    raise KeyError(unit)


def _scaled(value: float, scales: tuple[tuple[float, str], ...], base: str) -> str:
    for factor, name in scales:
        if abs(value) >= factor:
            return f"{_short(value / factor)} {name}"
    return f"{_short(value)} {base}".rstrip()


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
