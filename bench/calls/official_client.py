"""What OpenAI's own Python client sends, against the bodies that the tests of `reasoning::models` expect of ours."""

import json
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai

received = []


class Recorder(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((self.path, json.loads(body)))
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)


def sent(call):
    try:
        call()
    except openai.BadRequestError:
        pass
    return received[-1]


conversation = sent(
    lambda: client.chat.completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
            {"role": "assistant", "content": "It is"},
        ],
        n=3,
        temperature=0.7,
        top_p=0.9,
        max_tokens=64,
        stop=["\n\n"],
        seed=42,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logprobs=True,
        top_logprobs=2,
        extra_body={"top_k": 20},
    )
)
continuation = sent(lambda: client.completions.create(model="m", prompt="2 + 2 =", n=2, logprobs=2))

tests = pathlib.Path(__file__).parents[2] / "crates/reasoning/tests/models"
print("openai", openai.__version__)
for name, path, (got_path, got) in [
    ("conversation", "/v1/chat/completions", conversation),
    ("continuation", "/v1/completions", continuation),
]:
    expected = json.loads((tests / f"{name}.json").read_text())
    assert got_path == path and got == expected, (got_path, got, expected)
    print(f"{name}: the same {len(got)} fields to {path}")
