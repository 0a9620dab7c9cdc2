"""Some 250 JSON schemas of varied features, as (name, schema); as a program, prints them as JSON."""

import json
import sys

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}

LEAVES = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "const string": {"const": "copper"},
    "const number": {"const": 42},
    "const object": {"const": {"a": [1, True, None]}},
    "enum strings": {"enum": ["red", "green", "blue"]},
    "enum mixed": {"enum": ["one", 2, None, True, [3], {"four": 4}]},
    "enum unicode": {"enum": ["über", "日本", "🙂", 'naïve "quoted"', "back\\slash"]},
    "integer": {"type": "integer", "minimum": -1000, "maximum": 1000},
    "integer above": {"type": "integer", "exclusiveMinimum": 5, "maximum": 12},
    "integer negative": {"type": "integer", "minimum": -250, "exclusiveMaximum": -13},
    "integer multiple": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    "number": {"type": "number", "minimum": 0, "maximum": 1},
    "number below": {"type": "number", "exclusiveMinimum": -2.5, "exclusiveMaximum": 2.5},
    "string": {"type": "string", "maxLength": 10},
    "string of length": {"type": "string", "minLength": 3, "maxLength": 5},
    "pattern": {"type": "string", "pattern": "^[a-f0-9]{8}$"},
    "pattern words": {"type": "string", "pattern": "^(yes|no|maybe)( indeed)?$"},
    "pattern unicode": {"type": "string", "pattern": "^[äöü]{2,4}$"},
    "pattern class": {"type": "string", "pattern": "^\\d{3}-[A-Z]{2}\\.\\w{1,3}$"},
    "pattern without quotes": {"type": "string", "pattern": '^[^"]{3,20}$'},
    "pattern of file names": {"type": "string", "pattern": r'^[^\\/:*?"<>|]{1,20}$'},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "date-time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "nullable": {"type": ["string", "null"], "maxLength": 6},
    "types": {"type": ["integer", "boolean"], "minimum": 0, "maximum": 9},
    "any of": {"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 1, "maximum": 3}]},
    "one of types": {"oneOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]},
    "one of objects": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}},
                "required": ["kind"],
                "additionalProperties": False,
            }
            for kind in ("cat", "dog")
        ]
    },
    "all of": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 8}]},
    "object": PERSON,
    "object optional": {**PERSON, "required": ["name"]},
    "object empty": {"type": "object", "additionalProperties": False},
    "object map": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 2},
    "object key unicode": {
        "type": "object",
        "properties": {"größe": {"type": "boolean"}, "名": {"const": 1}},
        "required": ["größe", "名"],
        "additionalProperties": False,
    },
    "object keys by pattern": {
        "type": "object",
        "patternProperties": {"^x[0-9]$": {"type": "null"}},
        "additionalProperties": False,
        "maxProperties": 2,
    },
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    "array of arrays": {
        "type": "array",
        "items": {"type": "array", "items": {"enum": [0, 1]}, "minItems": 2, "maxItems": 2},
        "minItems": 1,
        "maxItems": 2,
    },
    "array of objects": {"type": "array", "items": PERSON, "minItems": 1, "maxItems": 2},
    "tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": "x"}], "items": False, "minItems": 2},
    "reference": {"$defs": {"level": {"enum": ["low", "high"]}}, "$ref": "#/$defs/level"},
}

WRAPPERS = {
    "alone": lambda leaf: leaf,
    "property": lambda leaf: {
        "type": "object",
        "properties": {"value": leaf, "note": {"type": "string", "maxLength": 8}},
        "required": ["value"],
        "additionalProperties": False,
    },
    "item": lambda leaf: {"type": "array", "items": leaf, "minItems": 1, "maxItems": 2},
    "deep": lambda leaf: {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"b": leaf}, "required": ["b"], "additionalProperties": False}
        },
        "required": ["a"],
        "additionalProperties": False,
    },
    "referred": lambda leaf: {
        "$defs": {"leaf": leaf},
        "type": "object",
        "properties": {"first": {"$ref": "#/$defs/leaf"}, "second": {"$ref": "#/$defs/leaf"}},
        "required": ["first"],
        "additionalProperties": False,
    },
    "or null": lambda leaf: {"anyOf": [leaf, {"type": "null"}]},
}

# A tree refers to itself.
TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"v": {"enum": [1, 2]}, "left": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}},
            "required": ["v"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/tree",
}

# Objects with so many keys, and with keys that no schema names.
KEYS = {
    "one of those named": {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"enum": [2, 3]}},
        "additionalProperties": False,
        "minProperties": 1,
    },
    "one more than named": {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "required": ["a"],
        "additionalProperties": {"enum": [2, 3]},
        "minProperties": 2,
        "maxProperties": 2,
    },
    "two or three": {
        "type": "object",
        "minProperties": 2,
        "maxProperties": 3,
        "additionalProperties": {"enum": [1, 2]},
        "anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}],
    },
    "named beside others": {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "required": ["a"],
        "patternProperties": {"^b": {"type": "null"}},
        "additionalProperties": {"type": "boolean"},
        "maxProperties": 3,
    },
}

# References within a schema count from its root, so those that are not at the root cannot stand elsewhere.
SCHEMAS = [("tree", TREE), *KEYS.items()] + [
    (f"{name}, {place}", wrap(leaf))
    for name, leaf in LEAVES.items()
    for place, wrap in WRAPPERS.items()
    if "$ref" not in leaf or place == "alone"
]

# Each refers to the next one.
CHAIN = {
    "$ref": "#/$defs/0",
    "$defs": {"3000": {}} | {f"{i}": {"properties": {"a": {"$ref": f"#/$defs/{i + 1}"}}} for i in range(3000)},
}

# With the word that the refusal names.
REFUSED = [
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"not": {"type": "string"}}, "not"),
    ({"if": {"type": "string"}, "then": {"maxLength": 3}}, "if"),
    ({"type": "string", "format": "no-such-format"}, "no-such-format"),
    ({"oneOf": [{"type": "object"}, {"type": "object"}]}, "oneOf"),
    ({"type": "string", "pattern": "(?=a)b"}, "look"),
    ({"type": "no-such-type"}, "no-such-type"),
    ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
    ({"$ref": "#/nowhere"}, "nowhere"),
    ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
    ({"items": {"const": 9007199254740993}}, "items.const: expected numbers from -2^53 to 2^53"),
    ({"enum": [1, -9223372036854775808]}, "enum[1]: expected numbers from -2^53 to 2^53"),
    ({"$ref": "#"}, "lead back to itself, got '#'"),
    ({"type": "string", "pattern": "^[a-z&&[^b]]$"}, "pattern: '&&'"),
    ({"additionalProperties": {"enum": [1, 2]}, "minProperties": 2}, "minProperties: expected at most 1"),
    ({"items": {"patternProperties": {"^a$": {}}, "required": ["b"], "minProperties": 3}}, "items.minProperties"),
    (CHAIN, "600 schemas inside each other"),
]

if __name__ == "__main__":
    json.dump(SCHEMAS, sys.stdout)
