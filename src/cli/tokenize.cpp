// retort tokenize: text to token ids and the pieces they stand for, and back.
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/visible.h"
#include "cli/command.h"
#include "cli/hub/model_cache.h"
#include "cli/ranges.h"
#include "cli/terminal.h"
#include "cli/text_file.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace retort {
namespace {

struct TokenizeOptions {
  std::string model, file;
  std::vector<std::string> text;
  bool decode = false, ids_only = false, parse_special = false, no_bos = false;
};

Result<Tokenizer> load_tokenizer(const std::string& model) {
  RETORT_ASSIGN(const auto path, find_model(model));
  if (std::filesystem::is_directory(path)) {
    RETORT_ASSIGN(const auto folder, HfFolder::open(path));
    return Tokenizer::from_hf(folder);
  }
  RETORT_ASSIGN(const auto file, Gguf::open(path));
  return Tokenizer::from_gguf(file);
}

Result<std::string> input_text(const TokenizeOptions& options) {
  if (!options.text.empty()) {
    std::string joined = options.text.front();
    for (size_t i = 1; i < options.text.size(); ++i) joined += " " + options.text[i];
    return joined;
  }
  auto text = options.file.empty() ? read_text(std::cin) : read_text_file(options.file);
  const int cause = errno;
  if (text && options.file.empty() && std::ferror(stdin) != 0)
    return fail(ErrorKind::kIo, "[tokenize] standard input {}",
                cause == EBADF ? "is closed" : fmt::format("cannot be read to its end: {}", std::strerror(cause)));
  if (!text)
    return fail(text.error().kind, "[tokenize] {}: {}", options.file.empty() ? "standard input" : options.file,
                text.error().message);
  return text;
}

// Bytes that are no UTF-8 belong to no text: they would be left out without a word.
Status check_utf8(std::string_view text) {
  const size_t valid = valid_utf8_prefix(text);
  if (valid == text.size()) return {};
  return fail(ErrorKind::kBadInput, "[tokenize] expected UTF-8, byte {} is 0x{:02x}", valid,
              static_cast<unsigned char>(text[valid]));
}

void print_ids(const std::vector<TokenId>& ids) { fmt::print("[{}]\n", fmt::join(ids, ", ")); }

void print_pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const TokenId id : ids) {
    const auto bytes = tokenizer.token_bytes(id);
    // A piece of a character is shown as the bytes it is.
    const bool whole = tokenizer.decode(std::span(&id, 1), false) == bytes;
    std::string shown = visible_line(bytes);
    if (!whole) {
      shown.clear();
      for (const char c : bytes) shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    fmt::print("{:>7}  {}{}\n", id, shown, tokenizer.is_special(id) ? "   (control)" : "");
  }
  fmt::print(stderr, "{} token{}\n", ids.size(), ids.size() == 1 ? "" : "s");
}

Result<std::vector<TokenId>> parse_ids(const std::string& text, int32_t vocab_size) {
  std::vector<TokenId> ids;
  const char* at = text.c_str();
  while (true) {
    at += std::strspn(at, " \t\r\n,[]");
    if (*at == '\0') return ids;
    char* end = nullptr;
    const long long id = std::strtoll(at, &end, 10);
    if (end == at || id < 0 || id >= vocab_size)
      return fail(ErrorKind::kBadInput, "[tokenize] expected token ids from 0 to {}, got '{}'", vocab_size - 1,
                  std::string(at, std::strcspn(at, " \t\r\n,[]")));
    ids.push_back(static_cast<TokenId>(id));
    at = end;
  }
}

Status tokenize(const TokenizeOptions& options) {
  RETORT_ASSIGN(const auto tokenizer, load_tokenizer(options.model));
  RETORT_ASSIGN(const auto text, input_text(options));
  if (options.decode) {
    RETORT_ASSIGN(const auto ids, parse_ids(text, tokenizer.vocab_size()));
    const auto decoded = tokenizer.decode(ids, false);
    fmt::print("{}", isatty(STDOUT_FILENO) != 0 ? visible(decoded) : decoded);
    return {};
  }
  RETORT_TRY(check_utf8(text));
  const auto ids = tokenizer.encode(text, {.add_special = !options.no_bos, .parse_special = options.parse_special});
  if (options.ids_only)
    print_ids(ids);
  else
    print_pieces(tokenizer, ids);
  return {};
}

}  // namespace

RunCommand add_tokenize_command(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  app.add_option("MODEL", options->model, "A .gguf file, a folder, a name of the catalogue or OWNER/REPO[:QUANT]")
      ->required()
      ->check(not_empty("a model"));
  app.add_option("TEXT", options->text, "What to tokenise; without it, --file or standard input");
  app.add_option("--file", options->file, "Read this file");
  app.add_flag("--decode", options->decode, "The other way: the input is token ids");
  app.add_flag("--ids", options->ids_only, "Print the ids alone, as a JSON array");
  app.add_flag("--special", options->parse_special, "Control tokens spelled out in the text become those tokens");
  app.add_flag("--no-bos", options->no_bos, "Leave out the token that begins every text");
  return [options] {
    const auto done = tokenize(*options);
    return done ? 0 : report(done.error());
  };
}

}  // namespace retort
