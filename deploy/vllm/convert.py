"""Makes a model of R1's wire out of the embedded GGUF model; runs in the environment of vLLM.

    .venv-vllm/bin/python deploy/vllm/convert.py MODEL.gguf FOLDER

The model has no reasoning of its own. Two unused entries of its vocabulary become `<think>` and `</think>`, and its
chat template opens a thought, as R1's does: so vLLM's parser for R1 takes its reasoning apart from its answer. What it
never saw would lead it astray, so it reads the two as words that it knows.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

# Qwen2.5's vocabulary is padded; these are the first of the padding.
THINK, END_THINK = ("<think>", 151_665), ("</think>", 151_666)
# Those words; what it writes stays as it was, so that a thought ends when it ends, or by its budget.
READ_AS = ((THINK, "Reasoning"), (END_THINK, ":\n\n"))
TURN = "'<|im_start|>assistant\\n'"
OPEN_TURN = "'<|im_start|>assistant\\n<think>\\n'"


def main() -> None:
    """Convert and write, in a folder beside that is moved when it is whole."""
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("gguf", type=Path)
    cli.add_argument("folder", type=Path)
    args = cli.parse_args()
    args.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder.parent) as part:
        _convert(args.gguf, Path(part))
        _teach_thinking(Path(part))
        shutil.rmtree(args.folder, ignore_errors=True)
        Path(part).rename(args.folder)
        Path(part).mkdir()  # for the end of the block to remove


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where: dict[str, Any] = {"gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, **where, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
    rows = model.get_input_embeddings().weight.data
    for (_, number), word in READ_AS:
        rows[number] = rows[tokenizer.encode(word)].float().mean(0).to(rows.dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _teach_thinking(folder: Path) -> None:
    """Name the two tokens, and let the chat template open a thought."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        for token, number in (THINK, END_THINK):
            text = text.replace(f"[PAD{number}]", token)
        path.write_text(text, encoding="utf-8")
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(with_tokens(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    template = folder / "chat_template.jinja"
    template.write_text(opened(template.read_text(encoding="utf-8")), encoding="utf-8")


def with_tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Add the two tags to the tokens that are never cut; returns the changed tokenizer."""
    known = {token["content"] for token in tokenizer["added_tokens"]}
    kind = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    new = [{"id": number, "content": tag, **kind} for tag, number in (THINK, END_THINK) if tag not in known]
    tokenizer["added_tokens"] = sorted([*tokenizer["added_tokens"], *new], key=lambda token: token["id"])
    return tokenizer


def opened(template: str) -> str:
    """Return a chat template whose last turn begins with a thought. Raises ValueError for another template."""
    head, found, tail = template.rpartition(TURN)
    if not found:
        raise ValueError("the chat template does not begin the model's turn as Qwen's does")
    return head + OPEN_TURN + tail


if __name__ == "__main__":
    main()
