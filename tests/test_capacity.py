"""The arithmetic of docs/capacity.md holds its own rules, and the tables of the document are its results."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.capacity import DOCUMENT, USED, Machine, Prices, document, thousand_questions

RATE = st.floats(1.0, 1e5)
MACHINES = st.builds(Machine, st.floats(0.5, 1e3), RATE, RATE, RATE, st.sampled_from(["low", "medium", "high"]))


@given(MACHINES)
def test_the_slower_half_is_what_a_machine_does(machine):
    assert machine.a_minute == min(machine.readings_a_minute, machine.answers_a_minute)
    assert machine.at_once >= 1
    assert machine.memory_gb > 0


@given(MACHINES, st.floats(1.1, 10))
def test_twice_as_much_of_all_does_twice_as_much(machine, factor):
    more = replace(
        machine,
        cores=machine.cores * factor,
        read_rate=machine.read_rate * factor,
        write_rate=machine.write_rate * factor,
    )
    assert more.a_minute == pytest.approx(machine.a_minute * factor)


@given(MACHINES)
def test_more_effort_never_does_more(machine):
    low, medium, high = (replace(machine, effort=effort).a_minute for effort in ("low", "medium", "high"))
    assert low >= medium >= high


@given(MACHINES, st.floats(0.01, 1.0), st.floats(0, 1e4), st.floats(0, 1e2))
def test_what_is_rented_and_idle_costs_more_a_question(machine, load, watts, price):
    prices = Prices(watts=watts, idle_watts=watts / 5, kwh_price=price, hour_price=price)
    full = thousand_questions(machine, prices)
    assert thousand_questions(machine, prices, load) >= full * 0.999999 >= 0
    at_work_alone = Prices(watts=watts, kwh_price=price)
    assert thousand_questions(machine, at_work_alone, load) == pytest.approx(thousand_questions(machine, at_work_alone))


def test_the_document_holds_what_the_arithmetic_says():
    assert document() in DOCUMENT.read_text()


def test_the_formulas_by_hand():
    machine = Machine(cores=4, read_rate=2_000, write_rate=400, stream_rate=25, cpu_seconds=4.2, written_share=0.5)
    assert machine.readings_a_minute == pytest.approx(USED * 4 * 60 / 4.2)
    written = 0.5 * (4_096 + 2_048)
    gpu = machine.prompt_tokens / 2_000 + written / 400
    assert machine.answers_a_minute == pytest.approx(USED * 60 / gpu)
    assert machine.seconds == pytest.approx(2.1 + machine.prompt_tokens / 2_000 + written / 25)
    hours = 1_000 / machine.a_minute / 60
    prices = Prices(watts=500, kwh_price=0.4, hour_price=2, thousand_searches_price=5, searches=3)
    assert thousand_questions(machine, prices) == pytest.approx(hours * (2 + 0.2) + 15)
