"""What schemathesis checks besides its own, loaded by it through SCHEMATHESIS_HOOKS."""

import re

import schemathesis

# What a schema could have said. All else that a valid request is refused for is between fields (min_tokens above
# max_tokens), of the model (ids beyond its vocabulary), or of a language in a string (an expression that is none).
SAYABLE = re.compile(r"unknown field|expected (a |an |at (least|most) \d|true|one of)|required, and missing")
BETWEEN_FIELDS = re.compile(r"or 0 with echo|an integer of at least 2|a JSON schema (or its text|that something fits)")


@schemathesis.check
def refused_for_what_schemas_cannot_say(_, response, case):
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_valid or response.status_code != 400:
        return
    message = response.text
    if case.path == "/generate" and "required, and missing" in message:
        return  # its fields may stand in the query or in the body, so neither can be said to need them
    assert not SAYABLE.search(message) or BETWEEN_FIELDS.search(message), f"the schema allows it: {message}"
