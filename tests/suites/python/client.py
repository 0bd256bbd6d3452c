"""OpenAI's Python client against the worker whose base URL is the first argument."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
hi = [{"role": "user", "content": "Hi! My name is Ada."}]
settings = {"model": "default", "temperature": 0, "max_tokens": 24}

assert len(client.models.list().data) == 1

first = client.chat.completions.create(messages=hi, **settings)
text = first.choices[0].message.content
assert text and first.choices[0].finish_reason in ("stop", "length")
state_id = first.model_extra["state_id"]
assert state_id.startswith("state_")

stream = client.chat.completions.create(
    messages=hi, stream=True, stream_options={"include_usage": True}, **settings
)
pieces, usage = [], None
for chunk in stream:
    pieces += [choice.delta.content or "" for choice in chunk.choices]
    usage = chunk.usage or usage
assert "".join(pieces) == text, ("".join(pieces), text)
assert usage.completion_tokens == first.usage.completion_tokens

question = [{"role": "user", "content": "What is my name?"}]
second = client.chat.completions.create(
    messages=question, extra_body={"state_id": state_id}, **settings
)
read = second.usage.prompt_tokens_details.cached_tokens
assert read > 0, second

headers = {"idempotency-key": state_id}
replies = [
    client.chat.completions.create(messages=question, extra_headers=headers, model="default")
    for _ in range(2)
]
assert replies[0] == replies[1]

for wrong, kind, code in [
    ({"model": "gpt"}, openai.NotFoundError, "model_not_found"),
    ({"n": 17}, openai.BadRequestError, "invalid_value"),
    ({"extra_body": {"state_id": "state_" + 48 * "0"}}, openai.BadRequestError, "state_not_found"),
]:
    try:
        client.chat.completions.create(messages=hi, **{**settings, **wrong})
    except kind as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{wrong} was accepted")

print(f"openai {openai.__version__}: completions, streams, resuming, idempotency keys and errors work")
