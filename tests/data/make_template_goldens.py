#!/usr/bin/env python3
"""Writes tests/data/templates.json: small templates, what they are given, and what jinja2 makes of them, set up as
transformers sets it up. Whole templates of known models are compared by tests/text_oracle/test_templates.py.

Needs PyPI `jinja2` 3.1.6:  python3 tests/data/make_template_goldens.py > tests/data/templates.json
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "text_oracle"))
from transformers_jinja import compiled

CONTEXT = {
    "messages": [{"role": "user", "content": "Hi"}],
    "x": {"a": [1, 2.0, True, None, "it's"], "b": 1e20, "é": '"q" \\ \n', "z": {}},
    "list": [3, 1, 2],
    "names": ["b", "A", "c"],
    "text": "  One, two; <three> & 'four'\n",
    "rows": [{"k": "v1", "n": 1}, {"k": "v2", "n": 2}, {"k": "v1"}],
    "empty": [],
    "nothing": None,
    "number": 7,
    "real": 2.5,
}

SNIPPETS = [
    # printing
    "{{ x }}", "{{ x.a }}", "{{ list }} {{ number }} {{ real }} {{ nothing }} {{ true }} {{ missing }}", "{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1.0 }} {{ -0.0 }} {{ 100000000000000000000 }}",
    "{{ ['a\"b', \"c'd\", 'e\"f\\'g', '\\n\\t\\\\', 'é\\x00'] }}", "{{ {} }} {{ [] }} {{ {'a': none} }}",
    "{{ x | string }} {{ 1 | string ~ 2 }} {{ none | string }}", "{{ 'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1] }}", "{{ \"%.2f\" | format(1.5) }}",
    # tojson
    "{{ x | tojson }}", "{{ x | tojson(indent=2) }}", "{{ x | tojson(indent=4, ensure_ascii=True) }}", "{{ x | tojson(separators=(',', ':')) }}", "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}",
    "{{ '<a href=\"x\">&\\'' | tojson }}", "{{ '\\x7f\\u2028🙂' | tojson(ensure_ascii=true) }}", "{{ [] | tojson(indent=2) }} {{ {} | tojson(indent=2) }}", "{{ {1: 2, none: 3, false: 4} | tojson }}", "{{ 1e20 | tojson }} {{ 2.0 | tojson }} {{ nothing | tojson }} {{ true | tojson }}",
    # strings
    "{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip('\\n') }}|{{ text | trim }}", "{{ text.split() }} {{ text.split(',') }} {{ 'a,b,c'.split(',', 1) }}", "{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a,b,c'.rsplit(',') }} {{ ' a  b c '.rsplit() }} {{ ' a  b c '.rsplit(none, 1) }} {{ 'a'.rsplit(',', 0) }}", "{{ text.replace('two', '2') }} {{ 'aaa'.replace('a', 'b', 2) }}",
    "{{ text.upper() }} {{ text | lower }} {{ 'ab cd' | title }} {{ 'ab cd' | capitalize }}", "{{ text.startswith('  One') }} {{ text.endswith('x') }} {{ 'two' in text }} {{ 'x' not in text }}", "{{ 'abc'.find('c') }} {{ 'abc'.find('x') }} {{ 'abcabc'.count('b') }} {{ 'abc'.index('b') }}",
    "{{ 'x'.join(names) }} {{ names | join('-') }}", "{{ 'prefix-body'.removeprefix('prefix-') }} {{ 'body.txt'.removesuffix('.txt') }}", "{{ 'a=b=c'.partition('=') | join('|') }} {{ 'a=b=c'.rpartition('=') | join('|') }} {{ 'abc'.partition('=') | join('|') }} {{ 'abc'.rpartition('=') | join('|') }}", "{{ 'abc'[1] }} {{ 'abc'[-1] }} {{ 'abcdef'[1:3] }} {{ 'abcdef'[:-2] }} {{ 'abc'[::-1] }} {{ 'abcdef'[::2] }}",
    "{{ 'é你🙂'[1] }} {{ 'é你🙂' | length }}", "{{ 'a\\nb'.splitlines() }}", "{{ '5'.isdigit() }} {{ 'a'.isalpha() }} {{ 'a1'.isalnum() }} {{ 'A'.isupper() }}", "{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'long'.zfill(2) }}", "{{ '{} and {}'.format('a', 1) }}",
    # lists and dicts
    "{{ list[::-1] }} {{ list[1:] }} {{ list[-1] }}", "{{ list | sort }} {{ names | sort }} {{ list | max }} {{ list | min }} {{ list | sum }}", "{{ list | first }} {{ list | last }} {{ list | length }} {{ missing | length }} {{ list | reverse | list }}",
    "{{ rows | map(attribute='k') | list }} {{ rows | map(attribute='k') | unique | list }}", "{{ rows | selectattr('n', 'defined') | list }} {{ rows | selectattr('k', 'equalto', 'v1') | map(attribute='n', default=0) | list }}", "{{ rows | rejectattr('n') | list }} {{ list | select('gt', 1) | list }} {{ list | reject('odd') | list }}",
    "{{ x.keys() | list }} {{ x.items() | list | length }} {{ x | items | list | length }} {{ x.get('a') }} {{ x.get('q', 'd') }}", "{{ {'b': 1, 'a': 2} | dictsort | map('first') | list }}", "{{ rows[0].k }} {{ rows[0]['k'] }} {{ rows[0].missing is defined }} {{ x['a'][3] is none }}", "{{ list + [4] }} {{ 'ab' * 3 }} {{ [1] * 2 }}", "{{ range(5) | list }} {{ range(1, 10, 3) | list }}",
    "{{ 3 in list }} {{ 'a' in x }} {{ 'q' in x }}", "{{ list | batch(2) | list }}", "{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}", "{{ dict(a=1, b='c') }}", "{{ rows | groupby('k') | length }}",
    # numbers
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 ** 10 }}", "{{ '2.9' | int }} {{ ' 7 ' | int }} {{ 'x' | int(5) }} {{ none | int }} {{ true | int }} {{ 'x' | float }} {{ 'x' | float(1.5) }}", "{{ '42' | int + 1 }} {{ 'x' | int }} {{ '2.5' | float }} {{ 3.7 | int }} {{ 2.567 | round(1) }} {{ 2.5 | round }} {{ -3 | abs }}",
    # tests and logic
    "{{ 'a' is string }} {{ x is mapping }} {{ list is sequence }} {{ 'a' is sequence }} {{ 'a' is iterable }} {{ nothing is iterable }} {{ 1 is number }} {{ true is boolean }} {{ nothing is none }} {{ missing is defined }} {{ x is iterable }} {{ missing is iterable }}",
    "{{ 1 is integer }} {{ 1.0 is float }} {{ true is true }} {{ false is false }} {{ 4 is even }} {{ 4 is divisibleby(2) }} {{ 'a' is eq('a') }} {{ 2 is in list }}", "{{ nothing or 'd' }} {{ '' or 0 or 'e' }} {{ 'a' and 'b' }} {{ not empty }}", "{{ missing | default('d') }} {{ '' | default('d', true) }} {{ nothing | default('d') }}", "{{ 'y' if number > 3 else 'n' }} {{ 'y' if number > 9 }}", "{{ 1 < number < 9 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ true == 1 }}",
    # statements
    "{% for r in rows %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }} {% else %}none{% endfor %}", "{% for r in empty %}x{% else %}none{% endfor %}", "{% for r in rows if r.n is defined %}{{ r.n }}{% endfor %}", "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% elif i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for r in rows %}{{ loop.previtem.k if loop.previtem is defined }}{{ loop.nextitem.k if not loop.last }} {% endfor %}", "{% set ns = namespace(a=1, l=[]) %}{% for i in list %}{% set ns.a = ns.a + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.a }} {{ ns.l }}", "{% set a = 1 %}{% for i in list %}{% set a = i %}{% endfor %}{{ a }}", "{% set b %}block {{ 1 }}{% endset %}{{ b }} {{ b | length }}",
    "{% macro m(a, b='x') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}", "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}", "{% filter upper %}abc{% endfilter %}", "{% raw %}{{ x }}{% endraw %}{# comment #}", "{% with a = 2 %}{{ a }}{% endwith %}", "{% generation %}made{% endgeneration %} after",
    # white space
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a {%- if true -%} b {%- endif -%} c", "  {{- 'x' -}}  y", "{% for i in list %}\n{{ i }}\n{% endfor %}\n", "line\n\n{% if true +%}\nkept\n{% endif %}", "\n{# c #}\nx\n", "x\n",
    # refusals
    "\n\n{{ raise_exception('Roles must alternate: ' ~ number) }}", "{{ missing.attribute }}", "{{ none.attribute }}", "{{ nothing + 1 }}", "{{ unknown_function() }}", "{{ 1 | unknown_filter }}", "{% if %}", "{% for x in list %}", "{{ 'a' + 1 }}", "{{ list.append(4) }}{{ list }}", "{{ x.update({'c': 1}) }}", "{{ [][0] }}|", "{{ ''.__class__ }}",
]  # fmt: skip


def main() -> None:
    cases = []
    for source in SNIPPETS:
        case = {"source": source}
        try:
            case["text"] = compiled(source).render(**json.loads(json.dumps(CONTEXT)))
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {error}"
        cases.append(case)
    print(json.dumps({"context": CONTEXT, "cases": cases}, ensure_ascii=False, indent=1))


main()
