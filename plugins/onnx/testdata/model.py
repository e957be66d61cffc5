"""Makes model.onnx, tokenizer.json, and expected.json, with which the tests compare.

Usage: model.py

The committed files come from onnx 1.23.2, onnxruntime 1.32.0, and tokenizers 0.23.3. The model has random weights: embeddings of
tokens and positions, attention in which padding has no part, and a layer.
"""

import json

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "é", "dog", "."]
SIZE, LONGEST = 8, 16

rng = numpy.random.default_rng(15)
weights = {name: rng.normal(size=shape).astype("float32") for name, shape in {"words": (len(WORDS), SIZE), "types": (2, SIZE), "layer": (SIZE, SIZE)}.items()}
node = helper.make_node
graph = helper.make_graph(
    [
        node("Gather", ["words", "input_ids"], ["w"]),
        node("Gather", ["types", "token_type_ids"], ["t"]),
        node("Add", ["w", "t"], ["x"]),
        node("Transpose", ["x"], ["xt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "xt"], ["scores"]),
        node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["m", "one"], ["mm"]),
        node("Sub", ["mm", "f1"], ["m0"]),
        node("Mul", ["m0", "large"], ["bias"]),
        node("Add", ["scores", "bias"], ["masked"]),
        node("Softmax", ["masked"], ["a"], axis=-1),
        node("MatMul", ["a", "x"], ["mixed"]),
        node("MatMul", ["mixed", "layer"], ["y"]),
        node("Tanh", ["y"], ["last_hidden_state"]),
    ],
    "model",
    [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in ("input_ids", "attention_mask", "token_type_ids")],
    [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", SIZE])],
    [numpy_helper.from_array(v, n) for n, v in weights.items()]
    + [numpy_helper.from_array(numpy.array(v), n) for n, v in {"one": [1], "f1": numpy.float32(1), "large": numpy.float32(1e9)}.items()],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "model.onnx")

tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
tokenizer.save("tokenizer.json")

session = onnxruntime.InferenceSession("model.onnx")
out = []
for text in ["the cat sat on the mat.", "the dog", "é", "unknown words", "", "cat " * 40]:
    encoded = tokenizer.encode(text)
    ids = encoded.ids if len(encoded.ids) <= LONGEST else encoded.ids[: LONGEST - 1] + encoded.ids[-1:]
    row = numpy.array([ids])
    states = session.run(None, {"input_ids": row, "attention_mask": numpy.ones_like(row), "token_type_ids": numpy.zeros_like(row)})[0][0]
    mean = states.mean(axis=0)
    out.append({"text": text, "mean": (mean / numpy.linalg.norm(mean)).tolist(), "cls": states[0].tolist()})
with open("expected.json", "w", encoding="utf-8") as file:
    json.dump(out, file, ensure_ascii=False, indent=1)
