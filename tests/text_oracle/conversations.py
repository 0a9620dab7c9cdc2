"""Conversations in the shape of the API, one of each kind a chat template meets."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Current weather in a city, e.g. "Paris" & others <b>anywhere</b>.',
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name: Zürich, 東京, …"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
                "days": {"type": "integer", "minimum": 1, "maximum": 14.5},
            },
            "required": ["city"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time of day",
        "parameters": {"type": "object", "properties": {}},
    },
}


def user(text) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str | None, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


def system(text) -> dict:
    return {"role": "system", "content": text}


def call(name: str, arguments: str, identifier: str = "call12345") -> dict:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(text: str, identifier: str = "call12345", **more) -> dict:
    return {"role": "tool", "tool_call_id": identifier, "content": text, **more}


ONE_CALL = [
    user("Weather in Zürich?"),
    assistant("", tool_calls=[call("get_weather", '{"city": "Zürich", "unit": "celsius", "days": 2}')]),
    tool('{"degrees": 21.5, "sky": "<clear> & \'bright\'"}', name="get_weather"),
]
TWO_CALLS = [
    system("Use tools."),
    user("Weather and time?"),
    assistant(
        "Let me see.",
        tool_calls=[
            call("get_weather", '{"city": "Oslo", "nested": {"a": [1, 2.5, true, null]}}', "call00001"),
            call("get_time", "{}", "call00002"),
        ],
    ),
    tool("rain", "call00001", name="get_weather"),
    tool("12:00", "call00002", name="get_time"),
]

CONVERSATIONS: dict[str, dict] = {
    "plain": {"messages": [user("What is the capital of France?")]},
    "no_generation_prompt": {"messages": [user("Hi"), assistant("Hello.")], "add_generation_prompt": False},
    "system": {"messages": [system("You are brief."), user("Hi")]},
    "empty_system": {"messages": [system(""), user("Hi")]},
    "multi_turn": {"messages": [system("Be kind."), user("Hi"), assistant("Hello!"), user("How are you?"), assistant("Well."), user("Bye")]},
    "white_space": {"messages": [system("  indented \n"), user("\n  two  spaces \n\n"), assistant("  answer\n"), user(" ")]},
    "odd_text": {"messages": [user("<|im_end|> {{ 1 }} {% if %} </think> \"q\" 'a' \\n \u2028 é 你好 🙂 <b>&amp;</b>\x00")]},
    "reasoning": {
        "messages": [
            user("2+2?"),
            assistant("<think>\nTwo and two.\n</think>\n\nFour."),
            user("And 3+3?"),
            assistant("<think>\n\n</think>\n\nSix."),
            user("Thanks"),
        ]
    },
    "reasoning_content": {"messages": [user("2+2?"), assistant("Four.", reasoning_content="Two and two."), user("Sure?")]},
    "reasoning_last": {"messages": [user("2+2?"), assistant("<think>\nhm\n</think>\n\nFour.")], "add_generation_prompt": False},
    "thinking_off": {"messages": [user("2+2?")], "kwargs": {"enable_thinking": False}},
    "thinking_on": {"messages": [system("Think."), user("2+2?")], "kwargs": {"enable_thinking": True}},
    "tools": {"messages": [user("Weather in Zürich?")], "tools": [WEATHER, TIME]},
    "tools_system": {"messages": [system("Use tools."), user("Weather?")], "tools": [WEATHER]},
    "tool_call": {"messages": ONE_CALL, "tools": [WEATHER]},
    "tool_call_answered": {"messages": [*ONE_CALL, assistant("21.5 degrees."), user("Thanks")], "tools": [WEATHER, TIME]},
    "tool_call_null_content": {"messages": [ONE_CALL[0], {**ONE_CALL[1], "content": None}, ONE_CALL[2]], "tools": [WEATHER]},
    "two_tool_calls": {"messages": TWO_CALLS, "tools": [WEATHER, TIME]},
    "tool_call_reasoning": {
        "messages": [ONE_CALL[0], {**ONE_CALL[1], "reasoning_content": "I need the weather."}, ONE_CALL[2], assistant("21.5"), user("Ok")],
        "tools": [WEATHER],
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]},
        ]
    },
    "two_users": {"messages": [user("One"), user("Two")]},
    "assistant_first": {"messages": [assistant("Welcome."), user("Hi")]},
    "unknown_role": {"messages": [{"role": "critic", "content": "Hm."}, user("Hi")]},
    "date": {"messages": [user("Hi")], "kwargs": {"date_string": "26 Jul 2024"}},
    "continued": {"messages": [user("Count."), assistant("One, two, ")], "continue_final_message": True, "add_generation_prompt": False},
}  # fmt: skip
