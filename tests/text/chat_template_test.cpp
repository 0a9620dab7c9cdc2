// Templates against jinja2 (tests/data/make_template_goldens.py), and templates that mean harm.
#include "text/chat_template.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <thread>

#include "formats/temp_dir.h"

// LeakSanitizer's, where the program has it.
extern "C" {
[[gnu::weak]] void __lsan_disable();  // NOLINT(bugprone-reserved-identifier)
[[gnu::weak]] void __lsan_enable();   // NOLINT(bugprone-reserved-identifier)
}

namespace retort {
namespace {

struct LeaksAreKnown {
  LeaksAreKnown() {
    if (__lsan_disable) __lsan_disable();
  }
  ~LeaksAreKnown() {
    if (__lsan_enable) __lsan_enable();
  }
};

using namespace std::string_literals;

using ::testing::AnyOf;
using ::testing::HasSubstr;

Result<std::string> render(std::string_view source, Json kwargs = Json::object()) {
  RETORT_ASSIGN(const auto compiled, ChatTemplate::compile(source, "<s>", "</s>"));
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": "Hi"}])");
  input.kwargs = std::move(kwargs);
  return compiled.render(input);
}

std::string message_of(const Result<std::string>& result) {
  return result ? "rendered: " + *result : result.error().message;
}

TEST(ChatTemplate, RendersAsJinja2) {
  const Json goldens = Json::parse(testing::read_file(RETORT_TEST_DATA "/templates.json"));
  Json kwargs = goldens["context"];
  kwargs.erase("messages");
  for (const Json& golden : goldens["cases"]) {
    const auto source = golden["source"].get<std::string>();
    const auto text = render(source, kwargs);
    if (golden.contains("error")) {
      ASSERT_FALSE(text) << source << " gives " << *text << ", jinja2: " << golden["error"];
      EXPECT_EQ(text.error().kind, ErrorKind::kBadInput);
    } else {
      EXPECT_EQ(message_of(text), "rendered: " + golden["text"].get<std::string>()) << source;
    }
  }
}

TEST(ChatTemplate, ErrorsNameLineAndReason) {
  EXPECT_EQ(message_of(render("a\n{% if x %}\n{{ 1 }}")),
            "[chat template] line 3: syntax error: unexpected end of input, expected end of block");
  EXPECT_EQ(message_of(render("\n{{ unknown() }}")), "[chat template] line 2: unknown function: unknown is unknown");
  EXPECT_EQ(message_of(render("\n\n{% set x = messages[5].content.strip() %}")),
            "[chat template] line 3: undefined value");
}

TEST(ChatTemplate, KeepsEveryCharacter) {
  ChatTemplateInput input;
  const auto odd = "nul \0 <|im_end|> {{ x }} é 🙂 \x7f \u2028"s;
  input.messages = {{{"role", "user"}, {"content", odd}}};
  EXPECT_EQ(ChatTemplate::compile("{{ messages[0].content }}", "", "").value().render(input).value(), odd);
}

TEST(ChatTemplate, KwargsCannotReplaceTheConversation) {
  const Json kwargs = {{"messages", "mine"}, {"bos_token", "mine"}, {"add_generation_prompt", false}, {"extra", 1}};
  EXPECT_EQ(
      message_of(render("{{ messages[0].content }}{{ bos_token }}{{ add_generation_prompt }}{{ extra }}", kwargs)),
      "rendered: Hi<s>True1");
}

TEST(ChatTemplate, ContinuesOnlyWhatWasRendered) {
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well, "}])");
  input.continue_final_message = true;
  const auto shows = ChatTemplate::compile("{% for m in messages %}[{{ m.content }}]{% endfor %}", "", "").value();
  EXPECT_EQ(shows.render(input).value(), "[Hi][Well, ");
  const auto trims =
      ChatTemplate::compile("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}", "", "").value();
  EXPECT_EQ(trims.render(input).value(), "[Hi][Well,");
  const auto hides = ChatTemplate::compile("nothing", "", "").value();
  EXPECT_THAT(message_of(hides.render(input)), HasSubstr("continue_final_message"));
}

TEST(ChatTemplate, HostileTemplatesAreErrors) {
  const auto chain = [](std::string_view link, size_t count) {
    std::string source = "{{ 1";
    for (size_t i = 0; i < count; ++i) source += link;
    return source + " }}";
  };
  const std::string nested =
      "{% set ns = namespace(x=[]) %}{% for j in range(99) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}"
      "{% endfor %}{% endfor %}";
  const std::string doubled =
      "{% set ns = namespace(x=['abc']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  const std::string deep =
      "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}";
  const std::vector<std::pair<std::string, const char*>> sources = {
      {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
       "longer than a chat template may"},
      {nested, "nested too deeply"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion limit"},
      {"{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "recursion limit"},
      {"{{ range(1000000000) | list }}", "range has too many elements"},
      {deep, "nested too deeply"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x | batch(9) %}{% endfor %}",
       "nested too deeply"},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x | slice(1) %}{% endfor %}",
       "nested too deeply"},
      {"{% set ns = namespace(x=0) %}{% for i in range(99999) %}{% set n = namespace() %}{% set n.p = ns.x %}"
       "{% set ns.x = n %}{% endfor %}",
       "more text and lists than a chat template may"},
      {doubled, "more text and lists than a chat template may"},
      {"{{ [][::-1] }}", "an internal failure"},
      {"{% include 'chat_template' %}", "include"},
      {std::string(100'000, 'x'), "the limit is"},
      {chain(".a", 30'000), "undefined value"},
      {chain("|a", 30'000), "filter a is unknown"},
  };
  for (const auto& [source, reason] : sources)
    EXPECT_THAT(message_of(render(source)), HasSubstr(reason)) << source.substr(0, 80);
  EXPECT_EQ(message_of(render(chain("+1", 30'000))), "rendered: 30001");
}

// Each would take gigabytes, or hours, in few instructions.
TEST(ChatTemplate, WhatATemplateMakesIsBounded) {
  const auto grow = [](std::string_view start, std::string_view step, int times = 99) {
    return fmt::format("{{% set ns = namespace(x={}) %}}{{% for i in range({}) %}}{{% set ns.x = {} %}}{{% endfor %}}",
                       start, times, step);
  };
  const std::string megabyte = "{% set x = 'x' * 1000000 %}", many = "{% set many = [x] * 1000000 %}";
  const std::string raw(10'000, 'r');
  const std::vector<std::string> sources = {
      "{{ 'x' * 1000000000 }}",
      "{{ 1000000000 * 'x' }}",
      "{{ 'x' * 99999999 }}",
      "{{ [0] * 99999999 }}",
      "{{ (0,) * 99999999 }}",
      grow("'x'", "ns.x ~ ns.x"),
      grow("'x'", "ns.x + ns.x"),
      grow("[1]", "ns.x + ns.x"),
      grow("(1,)", "ns.x + ns.x"),
      grow("[1]", "ns.x * 2"),
      grow("'x'", "[ns.x, ns.x] | join"),
      grow("'x'", "''.join([ns.x, ns.x])"),
      grow("'x'", "'%s%s' | format(ns.x, ns.x)"),
      grow("'x'", "'{}{}'.format(ns.x, ns.x)"),
      grow("'x'", "'{0}{0}'.format(ns.x)"),
      grow("[1]", "[ns.x, ns.x] | tojson"),
      grow("'x'", "ns.x | replace('x', 'xx')"),
      grow("'x'", "ns.x.replace('x', 'xx')"),
      grow("{'a': 1}", "{'a': ns.x, 'b': ns.x}"),
      grow("{'a': 1}", "dict(a=ns.x, b=ns.x)"),
      grow("[1]", "[ns.x, ns.x] | list"),
      "{% macro m(t) %}{{ t }}{{ t }}{% endmacro %}" + grow("'x'", "m(ns.x)"),
      grow("[]", "ns.x + ['" + raw + "' ~ i]", 99'999),
      "{% for i in range(99999) %}" + raw + "{% endfor %}",
      "{% set x %}{% for i in range(99999) %}" + raw + "{% endfor %}{% endset %}",
      "{% macro m() %}{% for i in range(99999) %}" + raw + "{% endfor %}{% endmacro %}{{ m() | length }}",
      "{% filter upper %}{% for i in range(99999) %}" + raw + "{% endfor %}{% endfilter %}",
      "{% for i in range(99999) %}{{ '" + raw + "' }}{% endfor %}",
      megabyte + many + "{{ many | join | length }}",
      megabyte + many + "{{ ''.join(many) | length }}",
      megabyte + many + "{{ many | map('upper') | list | length }}",
      megabyte + many + "{{ many | string | length }}",
      megabyte + many + "{{ many | tojson | length }}",
      megabyte + many + "{{ many | pprint | length }}",
      megabyte + many + "{{ ('' ~ many) | length }}",
      megabyte + many + "{{ many | sum(start='') | length }}",
      megabyte + "{{ x | replace('x', x) | length }}",
      megabyte + "{{ x | replace('', x) | length }}",
      megabyte + "{{ x.replace('x', x) | length }}",
      megabyte + "{{ range(99999) | join(x) | length }}",
      megabyte + "{{ x.join(range(99999) | map('string')) | length }}",
      megabyte + "{{ range(99999) | join(d=x) | length }}",
      megabyte +
          "{{ [1, 2] | tojson(separators=(x, x)) }}{{ range(99999) | list | tojson(separators=(x, x)) | length }}",
      "{{ ('x\n' * 1000000) | indent(1000000) | length }}",
      "{{ ('x\n' * 1000000) | indent(width=1000000) | length }}",
      "{{ '%999999999d' | format(1) | length }}",
      "{{ '%*d' | format(999999999, 1) | length }}",
      "{{ '%.999999999f' | format(1.5) | length }}",
      "{{ '{:999999999}'.format(1) | length }}",
      "{{ '{:{}}'.format(1, 999999999) | length }}",
      "{{ [1] | batch(999999999, 0) | length }}",
      "{{ [] | slice(999999999) | length }}",
      "{{ ('x' * 99999999) | list | length }}",
      "{{ ('x' * 99999999) | reverse | list | length }}",
      "{{ ('x ' * 49999999) | split | length }}",
      "{{ ('x ' * 49999999).split() | length }}",
      "{{ ('\\n' * 49999999).splitlines() | length }}",
      megabyte + "{% for i in range(99999) %}{% if 'y' in x %}{% endif %}{% endfor %}",
      megabyte + "{% for i in range(99999) %}{% if x == x ~ '' %}{% endif %}{% endfor %}",
      megabyte + "{% for i in range(99999) %}{% if x.count('y') %}{% endif %}{% endfor %}",
      megabyte + "{% for i in range(99999) %}{% if x | length == 1 %}{% endif %}{% endfor %}",
      "{% set x = range(99999) | list %}{% for i in range(9999) %}{% set y = x | sort %}{% endfor %}",
  };
  for (const std::string& source : sources)
    EXPECT_THAT(message_of(render(source)).substr(0, 300),
                AnyOf(HasSubstr("more text and lists than a chat template may"), HasSubstr("too large to print")))
        << source.substr(0, 120);
}

TEST(ChatTemplate, LongConversationsMayBeMadeOfPieces) {
  const auto gathers = ChatTemplate::compile(
      "{% set ns = namespace(text='', list=[]) %}{% for m in messages %}{% set ns.text = ns.text ~ m.content + '\n' %}"
      "{% set ns.list = ns.list + [m] %}{% endfor %}{{ ns.text }}{{ ns.list | length }}{{ messages | tojson | length "
      "}}",
      "", "");
  ChatTemplateInput input;
  input.messages = Json::array();
  for (int i = 0; i < 2000; ++i) input.messages.push_back({{"role", "user"}, {"content", std::string(50, 'a')}});
  const auto text = gathers->render(input);
  EXPECT_EQ(message_of(text).size(), std::string("rendered: ").size() + size_t{2000 * 51} + 4 + 6) << message_of(text);
}

// Such a value is counted by its owners, of whom it is one, and so is never freed.
TEST(ChatTemplate, AValueThatHoldsItselfIsAnError) {
  const LeaksAreKnown leaks_are_known;
  EXPECT_THAT(message_of(render("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}")),
              HasSubstr("nested too deeply or too large"));
}

TEST(ChatTemplate, ManyThreadsRenderAtOnce) {
  const auto compiled = ChatTemplate::compile("{% for m in messages %}{{ m | tojson }}{% endfor %}", "", "").value();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      ChatTemplateInput input;
      input.messages = {{{"role", "user"}, {"content", i}}};
      for (int turn = 0; turn < 200; ++turn)
        ASSERT_EQ(compiled.render(input).value(), fmt::format(R"({{"role": "user", "content": {}}})", i));
    });
}

}  // namespace
}  // namespace retort
