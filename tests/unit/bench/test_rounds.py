"""The arithmetic of the measurements: order of the turns, medians, ratios, rounds won."""

import pytest

from bench import table
from bench.errors import BenchError
from bench.rounds import Case, Result, measure, order, summary


def case(figure="rate", **contenders):
    return Case("server", "small", "nginx", figure, {"nginx": None, **contenders})


def rounds(figure, *values):
    return [{figure: value} for value in values]


def compared(row):
    return {name: row[name] for name in ("ratio", "won")}


def test_every_second_round_is_reversed_and_the_first_contender_rotates():
    names = ["a", "b", "c"]
    assert [order(names, number) for number in range(4)] == [
        ["a", "b", "c"],
        ["c", "b", "a"],
        ["b", "c", "a"],
        ["a", "c", "b"],
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_each_contender_has_one_turn_per_round_and_is_first_once(count):
    names = [str(number) for number in range(count)]
    orders = [order(names, number) for number in range(2 * count)]
    assert all(sorted(one) == names for one in orders)
    assert {one[0] for one in orders} == set(names)


def test_a_higher_rate_is_better_and_ratios_are_of_medians():
    result = Result(
        case(ours=None), {"nginx": rounds("rate", 100, 300, 200), "ours": rounds("rate", 150, 290, 260)}
    )
    seen = summary(result)
    assert seen["ours"]["rate"] == 260
    assert compared(seen["ours"]) == {"ratio": 1.3, "won": 2}
    assert compared(seen["nginx"]) == {"ratio": 1, "won": 0}


def test_a_shorter_time_is_better():
    result = Result(case("time", ours=None), {"nginx": rounds("time", 2, 4), "ours": rounds("time", 1, 5)})
    assert compared(summary(result)["ours"]) == {"ratio": 1, "won": 1}


def test_p99_and_processor_time_have_their_own_ratios():
    figures = {"rate": 1, "p99": 0.002, "cpu": 8e-6}
    result = Result(case(ours=None), {"nginx": [figures], "ours": [figures | {"p99": 0.001, "cpu": 4e-6}]})
    ours = summary(result)["ours"]
    assert (ours["ratio"], ours["p99_ratio"], ours["cpu_ratio"]) == (1, 0.5, 0.5)


def turns(*values):
    """Make a contender that returns one value after another, and fails at None."""
    left = iter(values)

    def turn():
        value = next(left)
        if value is None:
            raise BenchError("it fell over")
        return {"rate": value}

    return turn


def test_the_warm_up_round_is_discarded():
    measured = measure(case(nginx=turns(1, 10, 20), ours=turns(2, 30, 40)), 2, lambda _: None)
    assert measured.rounds == {"nginx": rounds("rate", 10, 20), "ours": rounds("rate", 30, 40)}
    assert measured.failed == {}


def test_a_contender_that_fails_is_left_out_with_its_reason_and_the_others_continue():
    measured = measure(case(nginx=turns(1, 10, 20), ours=turns(2, 30, None)), 2, lambda _: None)
    assert list(summary(measured)) == ["nginx"]
    assert measured.failed == {"ours": "it fell over"}
    assert "left out: it fell over" in table.terminal(with_columns(measured))


@pytest.mark.parametrize(("nginx", "ratios"), [(turns(1, None), [None]), (turns(None), [])])
def test_if_the_reference_fails_there_are_no_more_rounds_and_no_ratios(nginx, ratios):
    measured = measure(case(nginx=nginx, ours=turns(2, 30)), 2, lambda _: None)
    assert measured.failed == {"nginx": "it fell over"}
    assert [row["ratio"] for row in summary(measured).values()] == ratios
    assert "left out" in table.terminal(with_columns(measured))
    assert "| nginx | failed |" in table.markdown([measured])


def with_columns(result):
    """Add the figures that the tables show."""
    for one in (figures for name in result.rounds.values() for figures in name):
        one.update(p99=0.001, cpu=1e-6, wrk_cpu=2e-6, memory=1 << 20)
    return result


def test_the_table_shows_units_ratio_and_rounds_won():
    result = with_columns(
        Result(case(ours=None), {"nginx": rounds("rate", 20000), "ours": rounds("rate", 30000)})
    )
    assert table.terminal(result).splitlines()[-1].split() == [
        *("ours", "30,000", "1.00", "1.0", "2.0", "1.0", "1.50"),
        *("1", "of", "1"),
    ]
    assert "| nginx | 20,000/s |\n| ours | 1.50 (1/1), p99 1.00, CPU 1.00 |" in table.markdown([result])
