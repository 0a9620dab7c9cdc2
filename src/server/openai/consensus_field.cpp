#include "server/openai/consensus_field.h"

namespace retort::openai {
namespace {

constexpr int kMaxSamples = 64;

ApiStatus read_extract(const Json& value, ConsensusOptions& options) {
  if (value == "boxed")
    options.extract = AnswerKind::kBoxed;
  else if (value == "json")
    options.extract = AnswerKind::kJson;
  else if (value == "text")
    options.extract = AnswerKind::kText;
  else
    return expected("extract", "boxed, json or text", value);
  return {};
}

const FieldTable<ConsensusOptions>& options_table() {
  static const FieldTable<ConsensusOptions> table({
      bool_field("enabled", &ConsensusOptions::enabled, true, "false: as if the field were not there."),
      int_field("n", &ConsensusOptions::n, {1, kMaxSamples}, ConsensusOptions().n, "Samples of the one prompt."),
      {"extract",
       {{"enum", {"boxed", "json", "text"}},
        {"description",
         "What is compared: the last \\boxed{…}, the whole answer as JSON, or as text. Default: json where JSON is the "
         "answer's form, text where another form binds it, else boxed."}},
       read_extract},
  });
  return table;
}

ApiStatus read_consensus(const Json& value, GenerateRequest& request) {
  ConsensusOptions options;
  if (value.is_boolean())
    options.enabled = value.get<bool>();
  else if (value.is_object())
    RETORT_API_TRY(options_table().apply(value, options, "consensus."));
  else
    return expected("consensus", "true, false or an object", value);
  if (options.enabled) request.consensus = options;
  return {};
}

Json consensus_schema() {
  return {{"description", "The answer that most of n samples agree on becomes choices[0]."},
          {"anyOf", Json::array({Json::object({{"type", "boolean"}}), options_table().schema()})}};
}

}  // namespace

const std::vector<Field<GenerateRequest>>& consensus_fields() {
  static const std::vector<Field<GenerateRequest>> fields = {{"consensus", consensus_schema(), read_consensus}};
  return fields;
}

ApiStatus check_consensus(const GenerateRequest& request) {
  if (!request.consensus) return {};
  if (request.n != 1) return refuse(400, "n: cannot be used together with consensus, which has an n of its own", "n");
  if (request.echo) return refuse(400, "echo: cannot be used together with consensus", "echo");
  if (request.temperature == 0.0f)
    return refuse(400, "temperature: expected more than 0 with consensus, got 0, which makes all samples equal",
                  "temperature");
  return {};
}

AnswerKind answer_kind(const GenerateRequest& request) {
  if (request.consensus && request.consensus->extract) return *request.consensus->extract;
  if (!request.grammar) return AnswerKind::kBoxed;
  return request.grammar->kind == GrammarKind::kJsonSchema ? AnswerKind::kJson : AnswerKind::kText;
}

}  // namespace retort::openai
