// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>

#include "core/error.h"
#include "ir/attribute.h"

namespace tutti {

/// A position in a text, and the pieces of the graph language that can be read from there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  size_t position() const { return at_; }

  // Blanks, line ends and comments.
  void skip() {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '#')
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      else if (!std::isspace(static_cast<unsigned char>(text_[at_])))
        return;
    }
  }
  // The next character that counts, or 0 at the end.
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool at_end() {
    skip();
    return at_ == text_.size();
  }
  bool take(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  // A whole word: "output" does not take the start of "outputs".
  bool take_word(std::string_view word) {
    skip();
    if (word_here() != word) return false;
    at_ += word.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail_here(join("'", token, "'"));
  }
  std::string_view word(std::string_view wanted) {
    skip();
    const std::string_view word = word_here();
    if (word.empty()) fail_here(wanted);
    at_ += word.size();
    return word;
  }
  // A bare word or a quoted text.
  std::string name(std::string_view wanted) {
    skip();
    if (at_ < text_.size() && text_[at_] == '"') return quoted(wanted);
    return std::string(word(wanted));
  }
  std::string quoted(std::string_view wanted) {
    skip();
    const size_t start = at_;
    size_t end = start + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') ++end;
    std::string value;
    if (start >= text_.size() || text_[start] != '"' || end >= text_.size() ||
        !parse_attribute(text_.substr(start, end + 1 - start), value))
      fail_here(wanted);
    at_ = end + 1;
    return value;
  }
  // Up to a ',' or ')' or line end outside of brackets and quotes.
  std::string_view value(std::string_view wanted) {
    skip();
    const size_t start = at_;
    int depth = 0;
    bool in_quotes = false;
    for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      const char c = text_[at_];
      if (c == '"') in_quotes = !in_quotes;
      if (in_quotes) continue;
      if (depth == 0 && (c == ',' || c == ')')) break;
      if (c == '(' || c == '[') ++depth;
      if (c == ')' || c == ']') --depth;
    }
    std::string_view found = text_.substr(start, at_ - start);
    while (!found.empty() && found.back() == ' ') found.remove_suffix(1);
    if (found.empty()) fail_at(start, wanted);
    return found;
  }
  int64_t integer() {
    skip();
    int64_t value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail_here("an integer of 64 bits");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }
  TensorType type() {
    skip();
    const size_t start = at_;
    TensorType type;
    const size_t close = text_.find(']', at_);
    const std::string_view dtype = word_here();
    at_ += dtype.size();
    if (!parse_attribute(dtype, type.dtype) || close == std::string_view::npos ||
        !parse_attribute(text_.substr(at_, close + 1 - at_), type.shape))
      fail_at(start, "a type such as f32[2, s0]");
    at_ = close + 1;
    return type;
  }

  [[noreturn]] void fail_here(std::string_view wanted) const { fail_at(at_, wanted); }
  [[noreturn]] void fail_at(size_t position, std::string_view wanted) const {
    std::string_view rest = text_.substr(position);
    rest = rest.substr(0, std::min<size_t>(rest.find('\n'), 30));
    fail(Errc::invalid_argument, place(position), rest.empty() ? "the line ends" : "found '", rest,
         rest.empty() ? "; " : "'; ", wanted, " is wanted");
  }
  // "graph text, line 3, column 14: "
  std::string place(size_t position) const {
    const std::string_view before = text_.substr(0, position);
    const size_t line_start = before.rfind('\n') + 1;
    return join("graph text, line ", std::count(before.begin(), before.end(), '\n') + 1,
                ", column ", position - line_start + 1, ": ");
  }

 private:
  std::string_view word_here() const {
    size_t end = at_;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) ||
                                  text_[end] == '_' || text_[end] == '.'))
      ++end;
    return text_.substr(at_, end - at_);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace tutti
