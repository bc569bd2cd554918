"""Builds the ONNX graph of multilingual-e5-small in int8, once, from its packed weights.

A BertModel with mean pooling and L2 norm (Wang et al., 2024; Devlin et al., 2019). One text a run and no padding, so
there is no attention mask. Matrices are int8 by column and activations int8 by run: DynamicQuantizeMatMul of ONNX
Runtime, which has instructions for it on AVX-512 VNNI. The embedding table stays in its four bits.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.embedders.e5 import BLOCK, E5

MICROSOFT = "com.microsoft"
OPSET, IR_VERSION = 21, 10
INPUT, OUTPUT = "ids", "vector"
# Seven bits of eight: processors without VNNI add two products in 16 bits, which full bytes would overflow.
LARGEST_WEIGHT = 63


def save(model: E5, path: Path) -> None:
    """Write the graph: input `ids` int64 (1, tokens), output `vector` float32 (1, hidden), L2-normalized."""
    import onnx

    onnx.save(_Graph(model).build(), str(path))


@dataclass(slots=True)
class _Graph:
    """Collects nodes and constants; each method adds one layer's worth and returns the name of its output."""

    model: E5
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def build(self) -> Any:  # noqa: ANN401  (onnx's own type is made at run time)
        from onnx import TensorProto, helper

        state = self._embeddings()
        for layer in range(self.model.shape.layers):
            state = self._layer(state, f"l{layer}.")
        pooled = self._node("ReduceMean", [state, self._constant("tokens", np.array([1], np.int64))], keepdims=0)
        self.nodes.append(helper.make_node("LpNormalization", [pooled], [OUTPUT], axis=-1, p=2))
        graph = helper.make_graph(
            self.nodes,
            "multilingual-e5-small",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "tokens"])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, self.model.shape.hidden])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

    def _embeddings(self) -> str:
        """Words, places and the one type of all tokens, added and normalized."""
        floats, hidden = self.model.floats, self.model.shape.hidden
        places = floats["emb.pos"].reshape(-1, hidden) + floats["emb.type"][:hidden]
        length = self._node("Shape", [INPUT], start=1, end=2)
        zero, axis = (self._constant(name, np.array([0], np.int64)) for name in ("zero", "axis"))
        taken = self._node("Slice", [self._constant("places", places), zero, length, axis])
        added = self._node("Add", [self._words(), taken])
        gain, bias = (self._constant(f"emb.ln.{name}", floats[f"emb.ln.{name}"]) for name in "wb")
        return self._node("LayerNormalization", [added, gain, bias], axis=-1, epsilon=self.model.epsilon)

    def _words(self) -> str:
        from onnx import TensorProto, helper

        table, shape = self.model.matrices["emb.word"], self.model.shape
        size = [shape.vocabulary, shape.hidden]
        # The operator counts from 0: flipping the high bit of each half turns 0..15 around 8 into signed -8..7.
        signed = (table.packed ^ 0x88).tobytes()
        self.constants.append(helper.make_tensor("words", TensorProto.INT4, size, signed, raw=True))
        scales = self._constant("words.scales", table.scales.astype(np.float32))
        options = {"block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
        return self._node("GatherBlockQuantized", ["words", INPUT, scales], MICROSOFT, **options)

    def _layer(self, state: str, layer: str) -> str:
        """Attention, then the feed-forward network; each added to its input and normalized."""
        from onnx import helper

        parts = [f"{layer}attention.{name}" for name in "qkv"]
        joined = self._linear(state, [f"{layer}{name}.w" for name in "qkv"], [f"{layer}{name}.b" for name in "qkv"])
        self.nodes.append(helper.make_node("Split", [joined], parts, axis=-1, num_outputs=3))
        attended = self._node("MultiHeadAttention", parts, MICROSOFT, num_heads=self.model.shape.heads)
        state = self._added(state, self._linear(attended, [f"{layer}ao.w"]), f"{layer}aln", f"{layer}ao.b")
        inner = self._linear(state, [f"{layer}fi.w"])
        inner = self._node(
            "BiasGelu", [inner, self._constant(f"{layer}fi.b", self.model.floats[f"{layer}fi.b"])], MICROSOFT
        )
        return self._added(state, self._linear(inner, [f"{layer}fo.w"]), f"{layer}oln", f"{layer}fo.b")

    def _added(self, state: str, change: str, norm: str, bias: str) -> str:
        names = [f"{norm}.w", f"{norm}.b", bias]
        constants = [self._constant(name, self.model.floats[name]) for name in names]
        return self._node("SkipLayerNormalization", [state, change, *constants], MICROSOFT, epsilon=self.model.epsilon)

    def _linear(self, state: str, names: list[str], biases: list[str] | None = None) -> str:
        """Multiply by one or several matrices side by side; columns are scaled to int8 each for itself."""
        matrix = np.concatenate([self.model.matrices[name].floats() for name in names]).T
        scales = np.abs(matrix).max(axis=0) / LARGEST_WEIGHT
        scales[scales == 0] = 1
        whole = np.round(matrix / scales).astype(np.int8)
        inputs = [state, self._constant(names[0], whole), self._constant(f"{names[0]}.scales", scales)]
        inputs.append(self._constant(f"{names[0]}.zeros", np.zeros(len(scales), np.int8)))
        if biases:
            inputs.append(self._constant(biases[0], np.concatenate([self.model.floats[name] for name in biases])))
        return self._node("DynamicQuantizeMatMul", inputs, MICROSOFT)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], domain: str = "", **options: Any) -> str:  # noqa: ANN401
        from onnx import helper

        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, name=name, **options))
        return name
