"""What Schemathesis is told about the worker: short replies, fit requests, and what an event is."""

import itertools

import schemathesis

# Tokens of a reply at most, so that a run ends in minutes.
TOKENS = 8
LIMITS = {
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}

# A reply is held to one of these.
FORMS = ("response_format", "guided_regex", "guided_choice", "guided_grammar")

# Left to chance, hardly any stream is asked for in a way that is not refused.
STREAMS = itertools.cycle((True, False))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Bounds how long replies get, and leaves out what lets most requests be refused."""
    path, body = case.operation.path, case.body
    if path not in LIMITS or not isinstance(body, dict):
        return
    # A key that is known answers other bodies with an error.
    case.headers.pop("Idempotency-Key", None)
    # The ids of examples are of nothing that there is.
    for name in ("state_id", "conversation", "previous_response_id"):
        if "0123456789abcdef" in str(body.get(name)):
            del body[name]
    for name in [name for name in FORMS if body.get(name) is not None][1:]:
        del body[name]
    for name in LIMITS[path]:
        value = body.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # What is no number stays, to be refused.
        if number and value > TOKENS:
            body[name] = TOKENS
    if body.get("stream") in (None, True, False):
        body["stream"] = next(STREAMS)
    # Null is the same as leaving a limit out.
    if all(body.get(name) is None for name in LIMITS[path]):
        body[LIMITS[path][0]] = TOKENS


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """
    The document tells of streams as OpenAI's does: `schema` is that of an event's data. Schemathesis
    goes by OpenAPI 3.2, where `itemSchema` is that of the whole event.
    """
    for path in raw_schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                media = response.get("content", {}).get("text/event-stream")
                if media is not None:
                    media["itemSchema"] = event(media.pop("schema"))


def event(schema):
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


@schemathesis.hook
def after_call(context, case, response):
    """The end of a stream of completions is no JSON."""
    response.content = response.content.removesuffix(b"data: [DONE]\n\n")
