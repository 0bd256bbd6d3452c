"""Schemathesis hooks: limit reply lengths, make most requests valid, and describe stream events."""

import itertools

import schemathesis

# Maximum reply length in tokens, so that a run takes minutes.
TOKENS = 8
LIMITS = {
    "/v1/chat/completions": ("max_tokens", "max_completion_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}

# A request may use only one of these constraints.
FORMS = ("response_format", "guided_regex", "guided_choice", "guided_grammar")

# Random generation hardly ever produces a valid streaming request.
STREAMS = itertools.cycle((True, False))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Limits reply lengths, and removes fields that make most requests invalid."""
    path, body = case.operation.path, case.body
    if path not in LIMITS or not isinstance(body, dict):
        return
    # A reused key with a different body is an error.
    case.headers.pop("Idempotency-Key", None)
    # The ids in examples do not exist.
    for name in ("state_id", "conversation", "previous_response_id"):
        if "0123456789abcdef" in str(body.get(name)):
            del body[name]
    for name in [name for name in FORMS if body.get(name) is not None][1:]:
        del body[name]
    for name in LIMITS[path]:
        value = body.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Other types stay and must be rejected.
        if number and value > TOKENS:
            body[name] = TOKENS
    if body.get("stream") in (None, True, False):
        body["stream"] = next(STREAMS)
    # Null means the default limit.
    if all(body.get(name) is None for name in LIMITS[path]):
        body[LIMITS[path][0]] = TOKENS


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """
    The document describes streams as OpenAI's does: `schema` describes an event's data.
    Schemathesis follows OpenAPI 3.2, where `itemSchema` describes the whole event.
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
    """The last event of a completions stream is not JSON."""
    response.content = response.content.removesuffix(b"data: [DONE]\n\n")
