"""A gate: one line that a student must meet, such as `student.accuracy >= 0.95`."""

from __future__ import annotations

import difflib
import functools
import math
import operator
import re
from collections.abc import Callable

from kdcore.entry import Record

SCORES = {
    "accuracy": "accuracy",
    "cosine": "cosine similarity to the teacher's vectors",
    "mean_average_precision": "mean average precision over the labels",
    "r2": "share of the variance that is explained",
}
"""What tasks count by; 1 is perfect."""
INT8_METRICS = {
    f"int8.{score}": f"{what} of the delivered student in int8, on the test part"
    for score, what in SCORES.items()
} | {
    "int8.drop": "what int8 costs the delivered student of its score",
    "int8.size_mb": "the int8 file in megabytes (10^6 bytes)",
    "int8.latency_ms": "its median time for one sample on one CPU thread, in milliseconds",
}
"""What a gate can be about where the int8 form is delivered."""
METRICS = {
    f"{who}.{score}": f"{whose} {what} on the test part"
    for score, what in SCORES.items()
    for who, whose in (
        ("teacher", "the teacher's"),
        ("student", "the distilled student's mean"),
        ("baseline", "the undistilled student's mean"),
    )
} | {
    "uplift": "the student's score less the baseline's",
    "uplift.low": "lower end of the uplift's confidence interval",
    "retention": "the student's score / the teacher's",
    "agreement": "how far student and teacher say the same on the test part",
    "parameters": "the student's number of parameters",
    "size_mb": "the student's weights file in megabytes (10^6 bytes)",
    "flops": "floating-point operations of the student for one sample",
    "latency_ms": "the student's median time for one sample on one CPU thread, in milliseconds",
    "compression": "teacher's parameters / student's parameters",
    "speedup": "teacher's latency / student's; the smallest one of all declared targets",
    **INT8_METRICS,
}
"""What a gate can be about."""
SMALLER_IS_BETTER = {
    *("parameters", "size_mb", "flops", "latency_ms"),
    *("int8.drop", "int8.size_mb", "int8.latency_ms"),
}
"""The metrics of which little is wanted; of all others, much."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_LINE = re.compile(r"\s*([A-Za-z_.][A-Za-z0-9_.]*)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")


class Gate(Record):
    """A metric, a comparison and a target."""

    metric: str
    """One of `METRICS`."""
    op: str
    """One of >=, <=, >, <."""
    target: float
    """The number to meet."""

    @classmethod
    @functools.lru_cache(256)
    def parse(cls, line: str) -> Gate:
        """Read a line such as `size_mb <= 0.1`.

        Raises:
            ValueError: the line is no gate; the message says what is expected.
        """
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError(
                f"found {line!r}; expected `metric >= number`, with >=, <=, > or <, "
                "for example `student.accuracy >= 0.95`"
            )
        metric, op, number = match.groups()
        if metric not in METRICS:
            near = difflib.get_close_matches(metric, METRICS, n=1, cutoff=0.4)
            raise ValueError(
                f"no metric {metric!r}"
                + (f"; did you mean {near[0]!r}?" if near else "")
                + f" Known: {', '.join(METRICS)}"
            )
        try:
            target = float(number)
        except ValueError:
            target = math.nan
        if not math.isfinite(target):
            raise ValueError(f"found {number!r} after {op}; expected a finite number")
        return cls(metric=metric, op=op, target=target)

    def passes(self, value: float | None) -> bool:
        """Say whether a measured value meets the target; what was not measured does not."""
        return value is not None and _OPERATORS[self.op](value, self.target)
