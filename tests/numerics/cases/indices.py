"""Functions that choose elements by index."""

from __future__ import annotations

from numerics.case import Case, real, whole

CASES = (
    Case("lookup", "lookup(table, index)",
         {"table": real("f32[6, 3]"), "index": whole("i32[4, 2]", 0, 5)},
         lambda t, table, index: table[index.long()]),
    Case("pick", "pick(x, index)", {"x": real("f32[2, 3, 5]"), "index": whole("i32[2, 3]", 0, 4)},
         lambda t, x, index: x.gather(-1, index.long().unsqueeze(-1)).squeeze(-1)),
    Case("lookup_along", "lookup_along(x, index, axis = 1)",
         {"x": real("f32[2, 3, 5]"), "index": whole("i32[2, 7, 5]", 0, 2)},
         lambda t, x, index: x.gather(1, index.long())),
    Case("scatter_add", "scatter_add(index, x, 6)",
         {"x": real("f32[4, 2, 3]"), "index": whole("i32[4, 2]", 0, 5)},
         lambda t, x, index: t.zeros(6, 3, dtype=x.dtype).index_add(
             0, index.long().flatten(), x.reshape(8, 3))),
    Case("scatter_add_along", "scatter_add_along(index, x, 4, axis = 0)",
         {"x": real("f32[7, 5]"), "index": whole("i32[7, 5]", 0, 3)},
         lambda t, x, index: t.zeros(4, 5, dtype=x.dtype).scatter_add(0, index.long(), x)),
    Case("lookup_nd", "lookup_nd(table, index)",
         {"table": real("f32[6, 6, 3]"), "index": whole("i32[4, 2]", 0, 5)},
         lambda t, table, index: table[tuple(index.long().unbind(-1))]),
    Case("scatter_add_nd", "scatter_add_nd(index, x, [6, 6, 3])",
         {"x": real("f32[4, 3]"), "index": whole("i32[4, 2]", 0, 5)},
         lambda t, x, index: t.zeros(6, 6, 3, dtype=x.dtype).index_put(
             tuple(index.long().unbind(-1)), x, accumulate=True)),
    Case("iota", "iota(5, dtype = f32) * x", {"x": real("f32[5]")},
         lambda t, x: t.arange(5) * x),
    Case("one_hot", "one_hot(index, 6)", {"index": whole("i32[4, 2]", 0, 5)},
         lambda t, index: t.nn.functional.one_hot(index.long(), 6).double()),
    Case("embedding", "embedding(index, 6, 3)", {"index": whole("i32[4, 2]", 0, 5)},
         lambda t, index, y_table: t.nn.functional.embedding(index.long(), y_table)),
    Case("position_embedding", "x + position_embedding(4, 3)", {"x": real("f32[2, 4, 3]")},
         lambda t, x, y_position_embedding_table: x + y_position_embedding_table),
)
