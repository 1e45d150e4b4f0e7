"""The official `openai` client against `mathesis serve`: chats, texts, streams, logarithms of probabilities, errors.

    python client.py BASE_URL MODEL

BASE_URL is such as http://127.0.0.1:8000/v1. Ends with 1 if anything is not as it should be.
"""

import math
import sys

import openai

FAILED = []


def check(name, fine, shown=""):
    print(f"{'ok  ' if fine else 'FAIL'}  {name}{f': {shown}' if shown != '' and not fine else ''}")
    if not fine:
        FAILED.append(name)


def refused(name, kind, call, parameter, code, status):
    try:
        call()
    except openai.APIStatusError as error:
        fine = isinstance(error, kind) and (error.param, error.code, error.status_code) == (parameter, code, status)
        check(name, fine, f"{type(error).__name__} {error.status_code} {error.body}")
    else:
        check(name, False, "it was answered")


def models(client, model):
    listed = client.models.list().data
    check("models are listed", [entry.id for entry in listed] == [model], listed)
    check("a model is told", client.models.retrieve(model).object == "model")


def chats(client, model):
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": [{"type": "text", "text": "What is 7 + 5?"}]},
    ]
    ask = lambda **more: client.chat.completions.create(model=model, messages=messages, max_tokens=24, **more)
    whole = ask(temperature=0)
    choice = whole.choices[0]
    check("a chat is answered", choice.message.role == "assistant" and len(choice.message.content) > 0)
    check("it ends for a reason", choice.finish_reason in ("stop", "length"), choice.finish_reason)
    usage = whole.usage
    check("tokens are counted", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0)
    check("the likeliest answer is the same again", ask(temperature=0).choices[0].message.content == choice.message.content)
    drawn = [ask(temperature=1, seed=seed, n=3) for seed in (1, 1, 2)]
    texts = [[choice.message.content for choice in reply.choices] for reply in drawn]
    check("a seed gives its answers again", texts[0] == texts[1] and len(set(texts[0])) > 1, texts)
    check("another seed gives others", texts[0] != texts[2])

    pieces = list(ask(temperature=0, stream=True, stream_options={"include_usage": True}))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    check("a stream adds up to the answer", text == choice.message.content, text)
    check("a stream ends with the usage", pieces[-1].usage == usage, pieces[-1].usage)
    check("a stream begins with the role", pieces[0].choices[0].delta.role == "assistant")
    finish = [piece.choices[0].finish_reason for piece in pieces if piece.choices]
    check("a stream tells its end once", finish[-1] == choice.finish_reason and not any(finish[:-1]), finish)

    given = ask(temperature=0, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    check("a logarithm for each token", len(given) == usage.completion_tokens)
    check("three likeliest each", all(len(token.top_logprobs) == 3 for token in given))
    check("the likeliest was chosen", all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in given))
    read = b"".join(bytes(token.bytes) for token in given).decode(errors="replace")
    check("the bytes are the text", read == choice.message.content, read)


def texts(client, model):
    ask = lambda **more: client.completions.create(model=model, **{"prompt": "What is", "max_tokens": 16, "temperature": 0, **more})
    whole = ask()
    text = whole.choices[0].text
    check("a text goes on", len(text) > 0 and whole.object == "text_completion")
    check("the prompt stands before it", ask(echo=True).choices[0].text == "What is" + text)
    several = ask(prompt=["What is", "How many"], n=2, temperature=0.9, seed=3)
    check("a list of prompts with samples", [choice.index for choice in several.choices] == [0, 1, 2, 3])
    stop = text[3:5]
    ended = ask(stop=stop).choices[0]
    check("a stop text ends it", ended.finish_reason == "stop" and ended.text == text[: text.index(stop)], ended)
    pieces = list(ask(stream=True))
    check("a stream adds up to the text", "".join(piece.choices[0].text for piece in pieces) == text)
    given = ask(logprobs=2).choices[0].logprobs
    check("logarithms beside each other", len(given.tokens) == len(given.token_logprobs) == len(given.top_logprobs) == 16)
    check("probabilities", all(math.exp(value) <= 1 for value in given.token_logprobs))
    places = [text[start:end] for start, end in zip(given.text_offset, given.text_offset[1:] + [len(text)])]
    check("places of tokens", "".join(places) == text and places == given.tokens, places)
    extended = ask(extra_body={"top_k": 5, "min_p": 0.05, "repetition_penalty": 1.2}, temperature=1, seed=1)
    check("top_k, min_p and repetition_penalty", len(extended.choices[0].text) > 0)


def errors(client, model):
    bad, chat = openai.BadRequestError, client.chat.completions.create
    hi = [{"role": "user", "content": "hi"}]
    refused("another model", openai.NotFoundError, lambda: chat(model="other", messages=hi), "model", "model_not_found", 404)
    for name, more, parameter, code in [
        ("a wrong type", {"temperature": "hot"}, "temperature", "invalid_value"),
        ("out of range", {"top_p": 1.5}, "top_p", "invalid_value"),
        ("too many tokens", {"max_tokens": 10**6}, "max_tokens", "context_length_exceeded"),
        ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
        ("a penalty", {"frequency_penalty": 0.5}, "frequency_penalty", "unsupported_parameter"),
        ("an unknown word", {"extra_body": {"temprature": 1}}, "temprature", "unknown_parameter"),
        ("no messages", {"messages": []}, "messages", "invalid_value"),
        ("a long prompt", {"messages": [{"role": "user", "content": "x y " * 5000}]}, "messages", "context_length_exceeded"),
        ("an image", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
         "messages[0].content[0]", "unsupported_parameter"),
    ]:
        refused(name, bad, lambda: chat(**{"model": model, "messages": hi, **more}), parameter, code, 400)


def main():
    base, model = sys.argv[1:]
    client = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
    for part in (models, chats, texts, errors):
        part(client, model)
    print(f"{len(FAILED)} failed")
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
