// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_expr.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/error.h"

namespace tutti::pt2 {
namespace {

using Kind = Expr::Kind;

constexpr int kMaxDepth = 100;

struct Function {
  std::string_view name;
  Kind kind;
  size_t min_args;
  size_t max_args;
};

constexpr Function kFunctions[] = {{"Add", Kind::add, 1, SIZE_MAX},
                                   {"Mul", Kind::mul, 1, SIZE_MAX},
                                   {"Max", Kind::max, 1, SIZE_MAX},
                                   {"Min", Kind::min, 1, SIZE_MAX},
                                   {"Pow", Kind::pow, 2, 2},
                                   {"Mod", Kind::mod, 2, 2},
                                   {"FloorDiv", Kind::floor_div, 2, 2},
                                   {"CleanDiv", Kind::clean_div, 2, 2},
                                   {"PythonMod", Kind::python_mod, 2, 2}};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Recursive descent over both notations: they share calls and integers, and srepr has no operators.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Expr parse() {
    Expr expr = sum();
    if (peek() != '\0') bad("something after its end");
    return expr;
  }

 private:
  [[noreturn]] void bad(std::string_view what) const {
    fail(Errc::corrupt, "expression ", text_, ": has ", what, " at byte ", at_);
  }

  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(std::string_view token) {
    peek();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) bad(join("no ", token));
  }

  static Expr integer(int64_t value) { return {Kind::integer, value, {}, {}}; }

  static Expr make(Kind kind, Expr a, Expr b) {
    Expr expr{kind, 0, {}, {}};
    expr.args.push_back(std::move(a));
    expr.args.push_back(std::move(b));
    return expr;
  }

  Expr negated(Expr expr) {
    if (expr.kind == Kind::integer && expr.value != INT64_MIN) return integer(-expr.value);
    return make(Kind::mul, integer(-1), std::move(expr));
  }

  // Adds to a sum or product that is open already, so that a + b + c is one node.
  static Expr extended(Kind kind, Expr a, Expr b) {
    if (a.kind != kind) return make(kind, std::move(a), std::move(b));
    a.args.push_back(std::move(b));
    return a;
  }

  Expr sum() {
    if (++depth_ > kMaxDepth) bad("too many levels");
    Expr expr = product();
    for (;;) {
      if (take("+")) {
        expr = extended(Kind::add, std::move(expr), product());
      } else if (take("-")) {
        expr = extended(Kind::add, std::move(expr), negated(product()));
      } else {
        --depth_;
        return expr;
      }
    }
  }

  Expr product() {
    Expr expr = sign();
    for (;;) {
      if (take("//"))
        expr = make(Kind::floor_div, std::move(expr), sign());
      else if (take("/"))
        expr = make(Kind::clean_div, std::move(expr), sign());
      else if (take("%"))
        expr = make(Kind::python_mod, std::move(expr), sign());
      else if (take("*"))
        expr = extended(Kind::mul, std::move(expr), sign());
      else
        return expr;
    }
  }

  Expr sign() {
    if (++depth_ > kMaxDepth) bad("too many levels");
    Expr expr = take("-") ? negated(sign()) : power();
    --depth_;
    return expr;
  }

  Expr power() {
    Expr base = atom();
    return take("**") ? make(Kind::pow, std::move(base), sign()) : base;
  }

  Expr atom() {
    const char c = peek();
    if (take("(")) {
      Expr expr = sum();
      expect(")");
      return expr;
    }
    if (is_digit(c)) return integer(number());
    if (!is_letter(c)) bad("no number, name or parenthesis");
    const std::string_view name = identifier();
    if (!take("(")) return {Kind::symbol, 0, name, {}};
    if (name == "Symbol") return symbol();
    if (name == "Integer") {
      const bool negative = take("-");
      const int64_t value = number(negative);
      expect(")");
      return integer(value);
    }
    return call(name);
  }

  std::string_view identifier() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (is_letter(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '.'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  int64_t number(bool negative = false) {
    peek();
    const char* begin = text_.data() + at_;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (error != std::errc() || value > limit) bad("no integer of 64 bits");
    at_ += static_cast<size_t>(end - begin);
    if (at_ < text_.size() && text_[at_] == '.') bad("a fraction");
    return static_cast<int64_t>(negative ? 0 - value : value);
  }

  std::string_view quoted() {
    const char quote = peek();
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : text_.npos;
    if (end == text_.npos) bad("no name in quotes");
    const std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return name;
  }

  // The rest of Symbol('s0', positive=True, integer=True): what is assumed of it does not matter.
  Expr symbol() {
    const std::string_view name = quoted();
    while (take(",")) {
      peek();
      if (identifier().empty()) bad("no name of an assumption");
      expect("=");
      peek();
      if (identifier().empty()) bad("no value of an assumption");
    }
    expect(")");
    return {Kind::symbol, 0, name, {}};
  }

  Expr call(std::string_view name) {
    Expr expr{Kind::other, 0, name, {}};
    if (!take(")")) {
      do expr.args.push_back(sum());
      while (take(","));
      expect(")");
    }
    for (const Function& function : kFunctions) {
      if (function.name != name) continue;
      if (expr.args.size() < function.min_args || expr.args.size() > function.max_args)
        bad(join(expr.args.size(), " arguments of ", name));
      expr.kind = function.kind;
      expr.name = {};
    }
    return expr;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

std::string_view function_name(const Expr& expr) {
  for (const Function& function : kFunctions)
    if (function.kind == expr.kind) return function.name;
  return expr.name;
}

// A part of a product or power: sums and divisions in parentheses.
std::string factor_text(const Expr& expr) {
  const bool open = expr.kind == Kind::add || expr.kind == Kind::floor_div ||
                    expr.kind == Kind::clean_div || expr.kind == Kind::pow ||
                    expr.kind == Kind::mul || (expr.kind == Kind::integer && expr.value < 0);
  return open ? join("(", to_string(expr), ")") : to_string(expr);
}

std::string joined(const std::vector<Expr>& args, std::string_view separator, bool as_factors) {
  std::vector<std::string> texts;
  for (const Expr& arg : args) texts.push_back(as_factors ? factor_text(arg) : to_string(arg));
  return join_list(texts, separator);
}

int64_t checked(std::optional<int64_t> value, const Expr& expr) {
  require_argument(value.has_value(), "expression ", expr, ": does not fit 64 bits");
  return *value;
}

std::optional<int64_t> times(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

std::optional<int64_t> plus(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

int64_t power(int64_t base, int64_t exponent, const Expr& expr) {
  require_argument(exponent >= 0, "expression ", expr, ": has a negative exponent");
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) result = checked(times(result, base), expr);
  return result;
}

int64_t divide(int64_t a, int64_t b, const Expr& expr) {
  require_argument(b != 0, "expression ", expr, ": divides by zero");
  if (b == -1) return checked(times(a, -1), expr);
  const int64_t quotient = a / b, rest = a % b;
  if (expr.kind == Kind::clean_div) {
    require_argument(rest == 0, "expression ", expr, ": ", a, " / ", b, " leaves a rest");
    return quotient;
  }
  const bool rounded_up = rest != 0 && (rest < 0) != (b < 0);
  if (expr.kind == Kind::floor_div) return quotient - rounded_up;
  return rounded_up ? rest + b : rest;
}

}  // namespace

Expr parse_expr(std::string_view text) { return Parser(text).parse(); }

std::string to_string(const Expr& expr) {
  switch (expr.kind) {
    case Kind::integer:
      return std::to_string(expr.value);
    case Kind::symbol:
      return std::string(expr.name);
    case Kind::add:
      return joined(expr.args, " + ", false);
    case Kind::mul:
      return joined(expr.args, "*", true);
    case Kind::pow:
      return joined(expr.args, "**", true);
    case Kind::floor_div:
      return joined(expr.args, "//", true);
    case Kind::clean_div:
      return joined(expr.args, "/", true);
    default:
      break;
  }
  return join(function_name(expr), "(", joined(expr.args, ", ", false), ")");
}

int64_t evaluate(const Expr& expr, const std::function<int64_t(std::string_view)>& value_of) {
  if (expr.kind == Kind::integer) return expr.value;
  if (expr.kind == Kind::symbol) return value_of(expr.name);
  require(expr.kind != Kind::other, Errc::unsupported, "expression ", expr,
          ": cannot be evaluated");
  int64_t result = evaluate(expr.args.at(0), value_of);
  for (size_t i = 1; i < expr.args.size(); ++i) {
    const int64_t next = evaluate(expr.args[i], value_of);
    switch (expr.kind) {
      case Kind::add:
        result = checked(plus(result, next), expr);
        break;
      case Kind::mul:
        result = checked(times(result, next), expr);
        break;
      case Kind::pow:
        result = power(result, next, expr);
        break;
      case Kind::max:
        result = std::max(result, next);
        break;
      case Kind::min:
        result = std::min(result, next);
        break;
      default:
        result = divide(result, next, expr);
        break;
    }
  }
  return result;
}

}  // namespace tutti::pt2
