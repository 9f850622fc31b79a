"""Dimensions: exact arithmetic over named sizes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowc_runtime.dims import Dim, NotExact, Poly, bind, divide, names, parse_dim, product, symbol

BATCH, TIME = symbol("batch"), symbol("time")
SIZES = {"batch": 7, "time": 11, "width": 13}

TERMS = st.tuples(st.lists(st.sampled_from(sorted(SIZES)), max_size=3), st.integers(-9, 9))


@st.composite
def dims(draw: st.DrawFn) -> Dim:
    total: Dim = 0
    for monomial, coefficient in draw(st.lists(TERMS, max_size=4)):
        total = total + product((coefficient, *map(symbol, monomial)))
    return total


def value(dim: Dim) -> int:
    bound = bind(dim, SIZES)
    assert isinstance(bound, int)
    return bound


def test_a_constant_result_is_an_int() -> None:
    assert (BATCH + 3) - BATCH == 3
    assert isinstance(BATCH - BATCH, int)
    assert BATCH * 0 == 0


def test_dimensions_are_equal_when_they_are_for_every_size() -> None:
    assert (BATCH + 1) * (BATCH - 1) == BATCH * BATCH - 1
    assert BATCH * TIME == TIME * BATCH
    assert BATCH != TIME
    assert BATCH + 1 != BATCH
    assert hash(BATCH * TIME) == hash(TIME * BATCH)


def test_an_int_may_stand_on_either_side() -> None:
    assert 2 + BATCH == BATCH + 2
    assert 2 * BATCH == BATCH * 2
    assert 2 - BATCH == -(BATCH - 2)


def test_a_dimension_is_written_as_an_author_would() -> None:
    assert str(3 * BATCH * TIME - TIME + 1) == "3*batch*time - time + 1"
    assert str(-BATCH) == "-batch"


@given(dims(), dims())
@settings(max_examples=200, deadline=None)
def test_arithmetic_agrees_with_that_of_the_bound_sizes(a: Dim, b: Dim) -> None:
    assert value(a + b) == value(a) + value(b)
    assert value(a - b) == value(a) - value(b)
    assert value(a * b) == value(a) * value(b)


@given(dims())
@settings(max_examples=200, deadline=None)
def test_a_written_dimension_reads_back(dim: Dim) -> None:
    assert parse_dim(str(dim)) == dim


@given(dims(), TERMS)
@settings(max_examples=200, deadline=None)
def test_division_undoes_multiplication_by_a_term(dim: Dim, term: tuple[list[str], int]) -> None:
    monomial, coefficient = term
    factor = product((coefficient or 1, *map(symbol, monomial)))
    assert divide(dim * factor, factor) == dim


def test_a_dimension_divides_by_itself() -> None:
    assert divide(BATCH + 1, BATCH + 1) == 1
    assert divide(0, BATCH) == 0


@pytest.mark.parametrize(
    ("a", "b"), [(7, 2), (BATCH, 2), (BATCH, TIME), (4, BATCH), (BATCH * 3, BATCH + 1), (BATCH, 0)]
)
def test_a_division_that_may_leave_a_remainder_is_refused(a: Dim, b: Dim) -> None:
    with pytest.raises(NotExact):
        divide(a, b)


def test_binding_some_names_leaves_the_others() -> None:
    assert bind(BATCH * TIME + TIME, {"time": 5}) == 5 * BATCH + 5
    assert bind(BATCH, {"time": 5}) == BATCH
    assert bind(8, SIZES) == 8


def test_the_names_of_a_dimension_are_those_it_depends_on() -> None:
    assert names(BATCH * TIME - BATCH) == {"batch", "time"}
    assert names(BATCH - BATCH) == frozenset()
    assert names(5) == frozenset()


def test_the_product_of_no_dimensions_is_one() -> None:
    assert product(()) == 1
    assert product((BATCH, 28, 28)) == 784 * BATCH


def test_a_polynomial_is_never_a_constant() -> None:
    assert isinstance(BATCH, Poly)
    assert not isinstance(BATCH - BATCH + 4, Poly)
