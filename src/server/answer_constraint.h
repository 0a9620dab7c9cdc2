// What binds an answer: a grammar, of all that comes after what is thought or of the calls of tools in it, and a bound
// on thinking. The engine follows it beside the model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/token_constraint.h"
#include "server/call_binder.h"

namespace retort {

struct AnswerRules {
  const Tokenizer* tokenizer;             // outlives the answer
  std::optional<GrammarMatcher> grammar;  // of what comes after </think>, or of the whole
  std::optional<CallBinder> calls = {};   // that come after </think>; with a grammar of the whole there are none
  bool takes_forced_tokens = true;        // without asking the model; false where its opinion of them is wanted
  bool starts_inside_reasoning = false;
  bool may_open_reasoning = false;          // the model may itself begin with <think>
  std::optional<int> thinking_budget = {};  // in tokens
  // "</think>": follows when the budget is spent, and where the model would end before what the grammar binds
  std::vector<TokenId> end_of_thinking = {};
};

// Errors: those of the grammar.
std::shared_ptr<const TokenConstraint> constrain_answer(AnswerRules rules);

}  // namespace retort
