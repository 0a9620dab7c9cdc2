#include "server/answer_constraint.h"

#include <algorithm>
#include <utility>

namespace retort {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";

// Reasoning may open, goes on, is being closed, or the answer proper has begun.
enum class Phase { kMayOpen, kThinking, kClosing, kAnswer };

class AnswerConstraint final : public TokenConstraint {
 public:
  explicit AnswerConstraint(AnswerRules rules)
      : rules_(std::move(rules)), think_(rules_.tokenizer->find(kThink)), phase_(first_phase()) {}

  Result<std::unique_ptr<TokenConstraint>> clone() const override {
    AnswerRules rules{.tokenizer = rules_.tokenizer,
                      .grammar = {},
                      .calls = {},
                      .takes_forced_tokens = rules_.takes_forced_tokens,
                      .starts_inside_reasoning = rules_.starts_inside_reasoning,
                      .may_open_reasoning = rules_.may_open_reasoning,
                      .thinking_budget = rules_.thinking_budget,
                      .end_of_thinking = rules_.end_of_thinking};
    if (rules_.grammar) {
      RETORT_ASSIGN(rules.grammar, rules_.grammar->clone());
    }
    if (rules_.calls) {
      RETORT_ASSIGN(rules.calls, rules_.calls->clone());
    }
    auto copy = std::make_unique<AnswerConstraint>(std::move(rules));
    copy->phase_ = phase_;
    copy->num_thought_ = num_thought_;
    copy->num_closing_ = num_closing_;
    copy->recent_ = recent_;
    return copy;
  }

  Result<NextTokens> follow(std::span<const TokenId> tokens) override {
    // White space in it is neither thought nor answer.
    if (phase_ == Phase::kThinking && !tokens.empty() && std::ranges::equal(tokens, rules_.end_of_thinking))
      phase_ = Phase::kAnswer;
    else
      for (TokenId id : tokens) RETORT_TRY(take(id));
    NextTokens next;
    if (phase_ == Phase::kThinking && num_thought_ >= rules_.thinking_budget.value_or(kNoBudget)) {
      if (rules_.takes_forced_tokens) next.forced = rules_.end_of_thinking;
      phase_ = rules_.takes_forced_tokens ? Phase::kAnswer : Phase::kClosing;
    }
    if (phase_ == Phase::kClosing) {
      allow(rules_.end_of_thinking[num_closing_], next);
      return next;
    }
    if (phase_ == Phase::kAnswer && !rules_.grammar && !rules_.calls) next.is_last = true;
    if (phase_ == Phase::kThinking) {
      if (rules_.grammar) next.instead_of_end = rules_.end_of_thinking;
      return next;
    }
    if (rules_.grammar) {
      RETORT_TRY(bind(*rules_.grammar, next));
    } else if (rules_.calls && rules_.calls->call() != nullptr) {
      RETORT_TRY(bind_call(next));
    }
    return next;
  }

 private:
  static constexpr int kNoBudget = std::numeric_limits<int>::max();

  // A <think> of several tokens cannot be told from an answer in time where a grammar binds that.
  Phase first_phase() const {
    if (rules_.starts_inside_reasoning) return Phase::kThinking;
    return rules_.may_open_reasoning && (think_ || !rules_.grammar) ? Phase::kMayOpen : Phase::kAnswer;
  }

  Status take(TokenId id) {
    if (phase_ == Phase::kThinking) {
      think(id);
      return {};
    }
    if (phase_ == Phase::kClosing) {
      if (++num_closing_ == rules_.end_of_thinking.size()) phase_ = Phase::kAnswer;
      return {};
    }
    std::string text(rules_.tokenizer->token_bytes(id));
    if (phase_ == Phase::kMayOpen) {
      open(text);
      if (phase_ != Phase::kAnswer) return {};
      text = recent_;  // all that has been said
    }
    if (rules_.grammar) return rules_.grammar->accept(id);
    if (!rules_.calls) return {};
    if (GrammarMatcher* call = rules_.calls->call()) return call->accept(id);
    return rules_.calls->read(text);
  }

  void open(std::string_view text) {
    recent_ += text;
    recent_.erase(0, std::min(recent_.find_first_not_of(" \t\r\n"), recent_.size()));
    if (recent_.starts_with(kThink))
      phase_ = Phase::kThinking;
    else if (rules_.grammar || !kThink.starts_with(recent_))
      phase_ = Phase::kAnswer;
  }

  void think(TokenId id) {
    ++num_thought_;
    recent_ += rules_.tokenizer->token_bytes(id);
    if (recent_.find(kThinkEnd) != std::string::npos)
      phase_ = Phase::kAnswer;
    else if (recent_.size() >= kThinkEnd.size())
      recent_.erase(0, recent_.size() - kThinkEnd.size() + 1);
  }

  static void allow(TokenId id, NextTokens& next) {
    next.allowed.resize(std::max(next.allowed.size(), static_cast<size_t>(id) / 32 + 1));
    next.allowed[static_cast<size_t>(id) / 32] |= 1u << id % 32;
  }

  Status bind_call(NextTokens& next) {
    RETORT_TRY(bind(*rules_.calls->call(), next));
    if (std::exchange(next.is_complete, false)) rules_.calls->end_call();
    return {};
  }

  Status bind(GrammarMatcher& grammar, NextTokens& next) {
    if (phase_ == Phase::kAnswer && rules_.takes_forced_tokens) {
      RETORT_ASSIGN(const auto forced, grammar.take_forced());
      next.forced.insert(next.forced.end(), forced.begin(), forced.end());
    }
    next.is_complete = grammar.is_complete();
    if (next.is_complete) return {};
    next.allowed.resize((static_cast<size_t>(rules_.tokenizer->vocab_size()) + 31) / 32);
    RETORT_TRY(grammar.mask(next.allowed));
    if (phase_ == Phase::kMayOpen) allow(*think_, next);
    return {};
  }

  AnswerRules rules_;
  std::optional<TokenId> think_;
  Phase phase_;
  int num_thought_ = 0;
  size_t num_closing_ = 0;  // tokens of the end of thinking that have come
  std::string recent_;      // the end of what was said, as much as a tag needs
};

}  // namespace

std::shared_ptr<const TokenConstraint> constrain_answer(AnswerRules rules) {
  return std::make_shared<AnswerConstraint>(std::move(rules));
}

}  // namespace retort
