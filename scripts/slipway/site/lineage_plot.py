"""Where the boxes and lines of a lineage graph are drawn: layered from left to right by grandalf, after Sugiyama, Tagawa and Toda (1981)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.site.tables_shown import LineageNode

BOX_WIDTH, BOX_HEIGHT = 188, 46
_BETWEEN, _LAYERS, _MARGIN = 16, 72, 12
_ROUNDS = 3


@dataclass(frozen=True)
class Box:
    """A node and the upper left corner of its box."""

    node: LineageNode
    x: int
    y: int


@dataclass(frozen=True)
class Line:
    """A line from what is read to what reads it, as an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Drawing:
    """A graph with its size."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]


def neighbours(
    lineage: Mapping[str, LineageNode], read_by: Mapping[str, Sequence[str]], name: str, most: int = 40
) -> list[LineageNode]:
    """A node with what it comes from and what is made of it, nearest first, at most so many in each direction."""
    reads = {one: node.reads for one, node in lineage.items()}
    found = {name}
    for nearest in (reads, read_by):
        waiting, seen = [name], {name}
        while waiting and len(seen) <= most // 2:
            following = [other for one in waiting for other in nearest.get(one, ()) if other in lineage]
            waiting = sorted(set(following) - seen)[: most // 2 + 1 - len(seen)]
            seen |= set(waiting)
        found |= seen
    return [lineage[one] for one in sorted(found)]


def draw(nodes: Iterable[LineageNode]) -> Drawing:
    """The graph of some nodes; lines to others are left out."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    vertices = {node.id: Vertex(node) for node in nodes}
    edges = [
        Edge(vertices[parent], vertex)
        for vertex in vertices.values()
        for parent in vertex.data.reads
        if parent in vertices
    ]
    for vertex in vertices.values():
        vertex.view = _View(
            BOX_HEIGHT, BOX_WIDTH
        )  # grandalf draws from top to bottom: its width is our height
    for edge in edges:
        edge.view = _Path()
    boxes: list[Box] = []
    lines: list[Line] = []
    top = _MARGIN
    for part in Graph(list(vertices.values()), edges).C:
        layout = SugiyamaLayout(part)
        layout.xspace, layout.yspace = _BETWEEN, _LAYERS
        layout.init_all()
        layout.draw(_ROUNDS)
        inside = list(part.sV)
        left = min(one.view.xy[1] for one in inside) - BOX_WIDTH / 2 - _MARGIN
        upper = min(one.view.xy[0] for one in inside) - BOX_HEIGHT / 2 - top
        for one in inside:
            across, along = one.view.xy
            boxes.append(
                Box(one.data, round(along - BOX_WIDTH / 2 - left), round(across - BOX_HEIGHT / 2 - upper))
            )
        for edge in part.sE:
            points = [(along - left, across - upper) for across, along in edge.view.points]
            lines.append(Line(edge.v[0].data.id, edge.v[1].data.id, _curve(points)))
        top = max(box.y for box in boxes) + BOX_HEIGHT + _BETWEEN
    boxes.sort(key=lambda box: (box.x, box.y))
    lines.sort(key=lambda line: (line.source, line.target))
    width = max((box.x for box in boxes), default=0) + BOX_WIDTH + _MARGIN
    return Drawing(width, top, boxes, lines)


class _View:
    def __init__(self, width: float, height: float) -> None:
        self.w, self.h, self.xy = width, height, (0.0, 0.0)


class _Path:
    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []

    def setpath(self, points: Iterable[tuple[float, float]]) -> None:
        self.points = list(points)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A path from the right side of the first box to the left side of the last one, through the places between."""
    half = BOX_WIDTH / 2
    places = [
        (points[0][0] + half, points[0][1]),
        *[place for x, y in points[1:-1] for place in ((x - half, y), (x + half, y))],
        (points[-1][0] - half, points[-1][1]),
    ]
    path = f"M{places[0][0]:.0f} {places[0][1]:.0f}"
    for at in range(len(places) - 1):
        (x, y), (to_x, to_y) = places[at], places[at + 1]
        if at % 2:  # along a layer, where other boxes are
            path += f"H{to_x:.0f}"
        else:
            middle = (x + to_x) / 2
            path += f"C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    return path
