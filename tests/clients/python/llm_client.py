"""The llm command, set up as its documentation says for servers of OpenAI's API."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import BASE, BREAKS, KEY, QUESTION, tell

LLM = [str(Path(sys.executable).with_name("llm"))]
MODELS = """
- {model_id: one, model_name: wellread, api_base: "BASE/v1", api_key_name: wellread}
- {model_id: gone, model_name: no-such-model, api_base: "BASE/v1", api_key_name: wellread}
- {model_id: newer, model_name: wellread, api_base: "BASE/v1", api_key_name: wellread, responses: true}
"""


def run(*arguments):
    done = subprocess.run([*LLM, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def said(*arguments):
    code, out, err = run(*arguments)
    return {"text": out.strip(), "code": code, "err": err}


def failed(*arguments):
    code, _, err = run(*arguments)
    return {"kinds": [f"exit {code}"], "message": err}


def cancelled():
    """Stop it with Ctrl-C when the answer has begun."""
    process = subprocess.Popen([*LLM, "-m", "one", QUESTION], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    return True


with tempfile.TemporaryDirectory() as folder:
    os.environ["LLM_USER_PATH"] = folder
    Path(folder, "extra-openai-models.yaml").write_text(MODELS.replace("BASE", BASE))
    Path(folder, "keys.json").write_text(json.dumps({"wellread": KEY}))
    tell(
        plain=said("-m", "one", "--no-stream", QUESTION),
        stream=said("-m", "one", QUESTION),
        responses=said("-m", "newer", QUESTION),
        error=failed("-m", "gone", QUESTION),
        broken=failed("-m", "one", BREAKS),
        cancelled=cancelled(),
    )
