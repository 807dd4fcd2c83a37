"""Small charts as inline SVG: scales, axes, lines and marks, styled by the page around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps [low, high] to pixels; `log` spaces ratios evenly."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies: 0 at low, 1 at high; values outside are held at the edge."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @classmethod
    def around(cls, values: Sequence[float], *, margin: float = 0.06) -> Scale:
        """A linear scale with some air above and below the values."""
        low, high = min(values), max(values)
        air = (high - low) * margin or abs(high) * margin or 1.0
        return cls(low - air, high + air)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers within [low, high], steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(1, count)
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


_TIME_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000)


def time_ticks(end: float, count: int = 8) -> list[float]:
    """Round times from 0 to `end` seconds."""
    fitting = (s for s in _TIME_STEPS if end / s <= count)
    step = next(fitting, 864000 * math.ceil(end / count / 864000))
    return [float(t) for t in range(0, math.floor(end) + 1, step)]


def clock(seconds: float) -> str:
    """75 is 0:01, 5400 is 1:30, two days and five hours 2d 5h."""
    minutes = int(seconds) // 60
    if seconds >= 2 * 86_400:
        days, hours = divmod(minutes // 60, 24)
        return f"{days}d {hours}h" if hours else f"{days}d"
    return f"{minutes // 60}:{minutes % 60:02d}"


@dataclass(slots=True)
class Plot:
    """One chart. Classes name what things are; the page's style sheet says how they look."""

    x: Scale
    y: Scale
    height: int
    width: int = 960
    left: int = 64
    right: int = 16
    top: int = 12
    bottom: int = 24
    _parts: list[str] = field(default_factory=list)

    def _at(self, point: Point) -> tuple[str, str]:
        across = self.left + self.x.share(point[0]) * (self.width - self.left - self.right)
        down: float = self.height - self.bottom
        down -= self.y.share(point[1]) * (self.height - self.top - self.bottom)
        return f"{across:.1f}".removesuffix(".0"), f"{down:.1f}".removesuffix(".0")

    def axes(
        self,
        y_ticks: Sequence[float],
        y_text: Callable[[float], str],
        x_ticks: Sequence[float],
        x_text: Callable[[float], str] = clock,
    ) -> Plot:
        """Grid lines with their numbers, and the times below."""
        for tick in y_ticks:
            (x1, y), (x2, _) = self._at((self.x.low, tick)), self._at((self.x.high, tick))
            self._parts.append(f'<line class="grid" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>')
            self._text(self.left - 8, float(y) + 4, y_text(tick), "tick end")
        for tick in x_ticks:
            x, _ = self._at((tick, self.y.low))
            self._text(float(x), self.height - 6, x_text(tick), "tick middle")
        return self

    def line(
        self, points: Sequence[Point], kind: str, title: str = "", *, stairs: bool = False
    ) -> Plot:
        """A line through the points; `stairs` holds each value until the next."""
        if not points:
            return self
        path, before = "", ""
        for point in points:
            x, y = self._at(point)
            path += f"M{x} {y}" if not path else f"H{x}V{y}" if stairs else f"L{x} {y}"
            before = x
        if len(points) == 1:
            path += f"H{float(before) + 0.1:.1f}"
        self._parts.append(f'<path class="line {kind}" d="{path}">{_title(title)}</path>')
        return self

    def area(self, points: Sequence[Point], kind: str) -> Plot:
        """What lies between the points and the lower edge."""
        floor = [(points[-1][0], self.y.low), (points[0][0], self.y.low)]
        corners = " ".join(",".join(self._at(point)) for point in [*points, *floor])
        self._parts.append(f'<polygon class="area {kind}" points="{corners}"/>')
        return self

    def level(self, value: float, kind: str, text: str) -> Plot:
        """A named horizontal line."""
        (x1, y), (x2, _) = self._at((self.x.low, value)), self._at((self.x.high, value))
        self._parts.append(f'<line class="level {kind}" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>')
        self._text(float(x2) - 4, float(y) - 4, text, f"label end {kind}")
        return self

    def dot(self, point: Point, radius: float, kind: str, title: str) -> Plot:
        """A mark that says more when pointed at."""
        x, y = self._at(point)
        place = f'cx="{x}" cy="{y}" r="{radius:.1f}"'
        self._parts.append(f'<circle class="dot {kind}" {place}>{_title(title)}</circle>')
        return self

    def tick_mark(self, at: float, kind: str, title: str) -> Plot:
        """A short stroke on the time axis."""
        x, y = self._at((at, self.y.low))
        self._parts.append(
            f'<line class="mark {kind}" x1="{x}" x2="{x}" y1="{y}" y2="{float(y) - 7:.1f}">'
            f"{_title(title)}</line>"
        )
        return self

    def label(self, point: Point, text: str, kind: str = "") -> Plot:
        """Words at a point."""
        x, y = self._at(point)
        self._text(float(x), float(y), text, f"label {kind}")
        return self

    def _text(self, x: float, y: float, text: str, kind: str) -> None:
        self._parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def render(self, name: str) -> str:
        """The chart as an element that scales with the page; `name` is for those who cannot see."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(name, quote=True)}">{"".join(self._parts)}</svg>'
        )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
