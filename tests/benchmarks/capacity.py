"""The arithmetic of docs/capacity.md: from rates that are measured or assumed to questions a minute, memory and cost.

    python -m tests.benchmarks.capacity --cores 8 --read-rate 2000 --write-rate 400 --watts 400 --kwh-price 0.30
    python -m tests.benchmarks.capacity --document

What was measured is a default and named MEASURED, what is assumed must be given or is named so. Reading and reasoning
go on beside each other, on cores and on GPUs: the slower of the two is what a server does. `--document` writes the
tables of docs/capacity.md.
"""

import argparse
import math
from dataclasses import dataclass, replace
from typing import Final

from agent.settings import EFFORTS
from agent.types import Effort
from tests.benchmarks.tables import ROOT, placed, table

DOCUMENT: Final = ROOT / "docs" / "capacity.md"
# docs/benchmarks.md, throughput of reading: CPU seconds of a question of fifty pages, all processes; the middle of what
# was seen. With the hashing embedder little of it is for vectors: so much remains where a GPU or another server makes
# them, and so much of that is of the server's own process.
MEASURED_CPU_SECONDS: Final = {"hashing": 1.1, "embedded": 4.4}
MEASURED_OWN_SECONDS: Final = 0.7
# The same with the embedded embedder: memory of all processes at most, and what each question more at a time adds. And
# what a server gathers in hours of work (load: 786 MB with the hashing embedder, which begins with 392).
MEASURED_START_MB: Final = 877.0
MEASURED_GATHERED_MB: Final = 394.0
MEASURED_QUESTION_MB: Final = 5.0
# docs/benchmarks.md, tokens: of the prompts of a question, plans included.
MEASURED_PROMPT_TOKENS: Final[dict[Effort, int]] = {"low": 4_080, "medium": 8_440, "high": 19_480}
# The same: result pages of ten that are asked for; search APIs count each as a search.
MEASURED_SEARCHES: Final[dict[Effort, float]] = {"low": 5, "medium": 21, "high": 21}
# Reading beside that of medium effort: fifteen pages (docs/benchmarks.md, cost against pages), three rounds at most.
READING: Final[dict[Effort, float]] = {"low": 0.6, "medium": 1.0, "high": 3.0}
# Of thought and answer together, the share of the effort's limits that is written. Assumed.
WRITTEN_SHARE: Final = 0.5
# Of cores and GPUs, the share that may be counted on: beyond it questions wait for each other.
USED: Final = 0.7


@dataclass(frozen=True, slots=True)
class Machine:
    """What questions are answered with. Rates are tokens a second of all GPUs together, with many streams at once.

    `read_rate` is of prompts, `write_rate` of thoughts and answers; `stream_rate` of one stream. `cpu_seconds` are
    those of a question at medium effort.
    """

    cores: float
    read_rate: float
    write_rate: float
    stream_rate: float
    effort: Effort = "medium"
    cpu_seconds: float = MEASURED_CPU_SECONDS["embedded"]
    written_share: float = WRITTEN_SHARE

    @property
    def prompt_tokens(self) -> float:
        """Tokens that the model reads for a question."""
        return MEASURED_PROMPT_TOKENS[self.effort]

    @property
    def written_tokens(self) -> float:
        """Tokens that the model writes for a question."""
        profile = EFFORTS[self.effort]
        return self.written_share * (profile.thinking_tokens + profile.answer_tokens)

    @property
    def reading_seconds(self) -> float:
        """CPU seconds of a question at this effort."""
        return self.cpu_seconds * READING[self.effort]

    @property
    def readings_a_minute(self) -> float:
        """Questions that the cores read for."""
        return USED * self.cores * 60 / self.reading_seconds

    @property
    def answers_a_minute(self) -> float:
        """Questions that the GPUs answer."""
        return USED * 60 / (self.prompt_tokens / self.read_rate + self.written_tokens / self.write_rate)

    @property
    def a_minute(self) -> float:
        """Questions that are answered in a minute."""
        return min(self.readings_a_minute, self.answers_a_minute)

    @property
    def seconds(self) -> float:
        """How long one question takes: its own CPU seconds on two cores, its prompt, and its stream."""
        return self.reading_seconds / min(2.0, self.cores) + self.prompt_tokens / self.read_rate + self._streaming

    @property
    def _streaming(self) -> float:
        return self.written_tokens / self.stream_rate

    @property
    def at_once(self) -> int:
        """Questions at work at a time (Little, 1961): what WELLREAD_MAX_CONCURRENT must allow."""
        return math.ceil(self.a_minute / 60 * self.seconds)

    @property
    def processes(self) -> int:
        """Servers that are needed: Python runs in one thread of each at a time, workers and vectors aside."""
        return math.ceil(self.a_minute * MEASURED_OWN_SECONDS * READING[self.effort] / 60 / USED)

    @property
    def memory_gb(self) -> float:
        """Memory of the servers, without the model's."""
        each = MEASURED_START_MB + MEASURED_GATHERED_MB
        return (self.processes * each + self.at_once * MEASURED_QUESTION_MB) / 1000


@dataclass(frozen=True, slots=True)
class Prices:
    """What is paid, in one currency: for electricity, for the machines by the hour, for a thousand searches.

    `watts` are those at work, `idle_watts` those without.
    """

    watts: float = 0.0
    idle_watts: float = 0.0
    kwh_price: float = 0.0
    hour_price: float = 0.0
    thousand_searches_price: float = 0.0
    searches: float = 1.0


def thousand_questions(machine: Machine, prices: Prices, load: float = 1.0) -> float:
    """Return the price of a thousand questions. `load` is the share of the time in which questions come, 0 to 1."""
    hours = 1_000 / machine.a_minute / 60 / load
    watts = load * prices.watts + (1 - load) * prices.idle_watts
    machines = hours * (prices.hour_price + watts / 1_000 * prices.kwh_price)
    return machines + prices.searches * prices.thousand_searches_price


@dataclass(frozen=True, slots=True)
class Example:
    """A machine of the document. Its rates and prices are assumed: none was measured."""

    what: str
    machine: Machine
    prices: Prices


KWH: Final = 0.30
EXAMPLES: Final = (
    Example(
        "home, 8 cores",
        Machine(8, 5_000, 800, 50),
        Prices(watts=550, idle_watts=100, kwh_price=KWH),
    ),
    Example(
        "server, 16 cores",
        Machine(16, 8_000, 1_500, 35),
        Prices(hour_price=3.0),
    ),
    Example(
        "cluster, 64 cores",
        Machine(64, 20_000, 4_800, 30),
        Prices(hour_price=24.0),
    ),
)
CORES: Final = (2, 4, 8, 16, 32, 64)
EFFORT_ORDER: Final[tuple[Effort, ...]] = ("low", "medium", "high")
IDLE_LOAD: Final = 0.1


def main() -> None:
    """Print one machine's figures, or write the document's."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--document", action="store_true", help="write the tables of docs/capacity.md")
    cli.add_argument("--cores", type=float, default=8)
    cli.add_argument("--read-rate", type=float, default=5_000, help="tokens/s of prompts, all GPUs (%(default)s)")
    cli.add_argument("--write-rate", type=float, default=800, help="tokens/s written, all streams (%(default)s)")
    cli.add_argument("--stream-rate", type=float, default=25.0, help="tokens/s of one stream (%(default)s)")
    cli.add_argument("--effort", choices=sorted(EFFORTS), default="medium")
    cli.add_argument("--cpu-seconds", type=float, default=MEASURED_CPU_SECONDS["embedded"], help="(%(default)s)")
    cli.add_argument("--written-share", type=float, default=WRITTEN_SHARE, help="of the limits (%(default)s)")
    cli.add_argument("--load", type=float, default=1.0, help="share of the time in which questions come (%(default)s)")
    cli.add_argument("--watts", type=float, default=0.0)
    cli.add_argument("--idle-watts", type=float, default=0.0)
    cli.add_argument("--kwh-price", type=float, default=0.0)
    cli.add_argument("--hour-price", type=float, default=0.0, help="of the machines together")
    cli.add_argument("--thousand-searches-price", type=float, default=0.0)
    cli.add_argument("--searches", type=float, default=1.0, help="paid searches a question (%(default)s)")
    args = cli.parse_args()
    if args.document:
        DOCUMENT.write_text(placed(DOCUMENT.read_text(encoding="utf-8"), "capacity", document()), encoding="utf-8")
        return
    machine = Machine(
        *(args.cores, args.read_rate, args.write_rate, args.stream_rate),
        *(args.effort, args.cpu_seconds, args.written_share),
    )
    prices = Prices(
        *(args.watts, args.idle_watts, args.kwh_price, args.hour_price),
        *(args.thousand_searches_price, args.searches),
    )
    print(report(machine, prices, args.load))


def document() -> str:
    """Write the tables of the document."""
    reading: list[list[object]] = [
        [cores, *(round(Machine(cores, 1, 1, 1, cpu_seconds=cost).readings_a_minute, 1) for cost in _costs())]
        for cores in CORES
    ]
    efforts: list[list[object]] = [_tokens(effort) for effort in EFFORT_ORDER]
    worked = [_worked(example, effort) for example in EXAMPLES for effort in EFFORT_ORDER]
    head = ["machine", "effort", "questions a minute", "the limit", "seconds each", "at once"]
    head += ["servers", "GB beside the model"]
    head += ["1,000 questions", f"the same at {IDLE_LOAD:.0%} load"]
    parts = [
        "Reading, medium effort, nothing cached:",
        table(["cores", "questions a minute, embedded embedder", "vectors made by a GPU or elsewhere"], reading),
        "Tokens of a question:",
        table(["effort", "read", "written (assumed: half of the limits)", "requests of a search engine"], efforts),
        "Whole questions, paid searches not in the price:",
        table(head, worked),
    ]
    return "\n\n".join(parts) + "\n"


def _costs() -> tuple[float, float]:
    return MEASURED_CPU_SECONDS["embedded"], MEASURED_CPU_SECONDS["hashing"]


def _tokens(effort: Effort) -> list[object]:
    machine = Machine(1, 1, 1, 1, effort)
    return [effort, f"{machine.prompt_tokens:,.0f}", f"{machine.written_tokens:,.0f}", MEASURED_SEARCHES[effort]]


def _worked(example: Example, effort: Effort) -> list[object]:
    machine = replace(example.machine, effort=effort)
    return [
        example.what,
        effort,
        round(machine.a_minute, 1),
        "cores" if machine.readings_a_minute < machine.answers_a_minute else "GPUs",
        round(machine.seconds),
        machine.at_once,
        machine.processes,
        round(machine.memory_gb, 1),
        f"{thousand_questions(machine, example.prices):.2f}",
        f"{thousand_questions(machine, example.prices, IDLE_LOAD):.2f}",
    ]


def report(machine: Machine, prices: Prices, load: float) -> str:
    """Write the figures of one machine."""
    rows: list[list[object]] = [
        ["tokens a question: read, written", f"{machine.prompt_tokens:.0f}, {machine.written_tokens:.0f}"],
        ["questions a minute that the cores read for", round(machine.readings_a_minute, 1)],
        ["questions a minute that the GPUs answer", round(machine.answers_a_minute, 1)],
        ["questions a minute", round(machine.a_minute, 1)],
        ["seconds a question", round(machine.seconds)],
        ["questions at once", machine.at_once],
        ["servers", machine.processes],
        ["GB of memory beside the model", round(machine.memory_gb, 1)],
        ["price of a thousand questions", f"{thousand_questions(machine, prices, load):.2f}"],
    ]
    return table(["figure", ""], rows)


if __name__ == "__main__":
    main()
