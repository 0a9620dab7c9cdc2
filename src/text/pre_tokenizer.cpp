#include "text/pre_tokenizer.h"

#include <algorithm>

namespace retort {
namespace {

struct Part {
  Span span;
  bool is_match;
};

// The text of `piece` as matches and what lies between them.
void cut(std::string_view text, Span piece, const PreTokenizer::Split& split, SplitRegex::Scratch& scratch,
         std::vector<Span>& matches, std::vector<Part>& parts) {
  matches.clear();
  parts.clear();
  split.regex.find_all(text.substr(piece.begin, piece.end - piece.begin), scratch, matches);
  size_t at = piece.begin;
  for (const Span match : matches) {
    const Span span{piece.begin + match.begin, piece.begin + match.end};
    if (at != span.begin) parts.push_back({{at, span.begin}, split.invert});
    parts.push_back({span, !split.invert});
    at = span.end;
  }
  if (at != piece.end) parts.push_back({{at, piece.end}, split.invert});
}

void append_piece(Span span, std::vector<Span>& out) {
  if (span.begin != span.end) out.push_back(span);
}

// Joins a part to the piece before it when `joins` says so of (is_match, previous is_match).
template <class Iterator, class Joins>
void fold(Iterator first, const Iterator& last, const Joins& joins, std::vector<Span>& out) {
  const size_t base = out.size();
  bool previous = false;
  for (; first != last; ++first) {
    if (out.size() > base && joins(first->is_match, previous)) {
      out.back() = {std::min(out.back().begin, first->span.begin), std::max(out.back().end, first->span.end)};
    } else {
      append_piece(first->span, out);
    }
    previous = first->is_match;
  }
}

void arrange(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Span>& out) {
  const auto match_after_text = [](bool is_match, bool previous) { return is_match && !previous; };
  const size_t base = out.size();
  switch (behavior) {
    case SplitBehavior::kIsolated:
      for (const Part& part : parts) append_piece(part.span, out);
      return;
    case SplitBehavior::kRemoved:
      for (const Part& part : parts)
        if (!part.is_match) append_piece(part.span, out);
      return;
    case SplitBehavior::kContiguous:
      return fold(parts.begin(), parts.end(), [](bool is_match, bool previous) { return is_match == previous; }, out);
    case SplitBehavior::kMergedWithPrevious:
      return fold(parts.begin(), parts.end(), match_after_text, out);
    case SplitBehavior::kMergedWithNext:
      fold(parts.rbegin(), parts.rend(), match_after_text, out);
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(base), out.end());
      return;
  }
}

void apply(const PreTokenizer::Split& split, bool, Pieces& pieces) {
  SplitRegex::Scratch scratch;
  std::vector<Span> next;
  if (split.behavior == SplitBehavior::kIsolated && pieces.spans.size() == 1 && pieces.spans[0].begin == 0) {
    // The usual case, one pattern over a whole text, without the detour over parts.
    std::vector<Span> matches;
    matches.reserve(pieces.text.size() / 4);
    split.regex.find_all(pieces.text, scratch, matches);
    next.reserve(matches.size());
    size_t at = 0;
    for (const Span match : matches) {
      append_piece({at, match.begin}, next);
      append_piece(match, next);
      at = match.end;
    }
    append_piece({at, pieces.text.size()}, next);
  } else {
    std::vector<Span> matches;
    std::vector<Part> parts;
    for (const Span piece : pieces.spans) {
      cut(pieces.text, piece, split, scratch, matches, parts);
      arrange(parts, split.behavior, next);
    }
  }
  pieces.spans = std::move(next);
}

// Every piece written anew by `write(piece, index, out)`, which appends to the new text.
template <class Write>
void rewrite(Pieces& pieces, const Write& write) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.spans.size());
  for (size_t i = 0; i < pieces.spans.size(); ++i) {
    const Span old = pieces.spans[i];
    const size_t begin = text.size();
    write(pieces.text.substr(old.begin, old.end - old.begin), i, text);
    pieces.spans[i] = {begin, text.size()};
  }
  pieces.storage = std::move(text);
  pieces.text = pieces.storage;
}

void apply(const PreTokenizer::SpacePrefix&, bool, Pieces& pieces) {
  rewrite(pieces, [](std::string_view piece, size_t, std::string& out) {
    if (!piece.starts_with(' ')) out += ' ';
    out += piece;
  });
}

void apply(const PreTokenizer::Metaspace& metaspace, bool at_start, Pieces& pieces) {
  using Prepend = PreTokenizer::Metaspace::Prepend;
  const std::string& mark = metaspace.replacement;
  rewrite(pieces, [&](std::string_view piece, size_t i, std::string& out) {
    const bool wanted =
        metaspace.prepend == Prepend::kAlways || (metaspace.prepend == Prepend::kFirst && at_start && i == 0);
    if (wanted && !piece.starts_with(' ') && !piece.starts_with(mark)) out += mark;
    for (const char c : piece) c == ' ' ? out += mark : out += c;
  });
  if (!metaspace.split) return;
  std::vector<Span> next;
  for (const Span piece : pieces.spans) {
    size_t begin = piece.begin;
    for (size_t at = pieces.text.find(mark, begin + 1); at < piece.end; at = pieces.text.find(mark, begin + 1)) {
      next.push_back({begin, at});
      begin = at;
    }
    append_piece({begin, piece.end}, next);
  }
  pieces.spans = std::move(next);
}

}  // namespace

void PreTokenizer::split(std::string_view text, bool at_start, Pieces& pieces) const {
  pieces.text = text;
  pieces.spans.assign(1, {0, text.size()});
  for (const Step& step : steps_) std::visit([&](const auto& s) { apply(s, at_start, pieces); }, step);
}

}  // namespace retort
