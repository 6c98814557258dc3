// SPDX-License-Identifier: Apache-2.0
#include "ir/dim.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "core/error.h"

namespace tutti {

// What a product is made of: a symbol ('s'), or a quotient '/', remainder '%', minimum '<' or
// maximum '>' of two expressions. `text` identifies it.
struct Dim::Atom {
  char kind;
  std::string text;
  Dim a, b;
};

// Coefficients by product; the empty product is the constant. Products are sorted by text.
struct Dim::Terms {
  struct Less {
    bool operator()(const Product& x, const Product& y) const {
      return std::lexicographical_compare(
          x.begin(), x.end(), y.begin(), y.end(),
          [](const auto& p, const auto& q) { return p->text < q->text; });
    }
  };
  std::map<Product, int64_t, Less> coefficients;
};

namespace {

// Bounds of an expression, so that a short text cannot ask for much memory.
constexpr size_t kMaxTerms = 64, kMaxFactors = 32, kMaxAtomText = 2000;

void check_size(bool fits) {
  require_argument(fits, "a dimension expression is too large: at most ", kMaxTerms, " terms of ",
                   kMaxFactors, " factors are wanted");
}

int64_t checked(bool overflow, int64_t value) {
  require_argument(!overflow, "a dimension expression overflows 64 bits");
  return value;
}
int64_t add(int64_t a, int64_t b) {
  int64_t r;
  const bool overflow = __builtin_add_overflow(a, b, &r);
  return checked(overflow, r);
}
int64_t multiply(int64_t a, int64_t b) {
  int64_t r;
  const bool overflow = __builtin_mul_overflow(a, b, &r);
  return checked(overflow, r);
}
int64_t floor_quotient(int64_t a, int64_t b) {
  require_argument(b != 0, "a dimension expression divides ", a, " by zero");
  checked(a == INT64_MIN && b == -1, 0);
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}
int64_t apply(char kind, int64_t a, int64_t b) {
  switch (kind) {
    case '/':
      return floor_quotient(a, b);
    case '%':
      return a - multiply(floor_quotient(a, b), b);
    case '<':
      return std::min(a, b);
    default:
      return std::max(a, b);
  }
}

}  // namespace

Dim Dim::from_terms(Terms terms) {
  std::erase_if(terms.coefficients, [](const auto& term) { return term.second == 0; });
  check_size(terms.coefficients.size() <= kMaxTerms);
  for (const auto& [product, factor] : terms.coefficients) checked(factor == INT64_MIN, factor);
  Dim dim;
  if (terms.coefficients.empty()) return dim;
  if (terms.coefficients.size() == 1 && terms.coefficients.begin()->first.empty())
    return terms.coefficients.begin()->second;
  dim.terms_ = std::make_shared<const Terms>(std::move(terms));
  return dim;
}

Dim::Terms Dim::terms() const {
  if (terms_) return *terms_;
  Terms terms;
  if (constant_ != 0) terms.coefficients[{}] = constant_;
  return terms;
}

Dim Dim::symbol(std::string name) {
  Terms terms;
  terms.coefficients[{std::make_shared<const Atom>(Atom{'s', std::move(name), {}, {}})}] = 1;
  return from_terms(std::move(terms));
}

int64_t Dim::value() const {
  require_argument(is_constant(), "dimension ", *this, " is symbolic; a number is wanted");
  return constant_;
}

Dim operator+(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return add(a.constant_, b.constant_);
  Dim::Terms sum = a.terms();
  for (const auto& [product, factor] : b.terms().coefficients)
    sum.coefficients[product] = add(sum.coefficients[product], factor);
  return Dim::from_terms(std::move(sum));
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

Dim operator*(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return multiply(a.constant_, b.constant_);
  Dim::Terms result;
  const Dim::Terms left = a.terms(), right = b.terms();
  for (const auto& [x, fx] : left.coefficients) {
    for (const auto& [y, fy] : right.coefficients) {
      Dim::Product product = x;
      product.insert(product.end(), y.begin(), y.end());
      check_size(product.size() <= kMaxFactors);
      std::sort(product.begin(), product.end(),
                [](const auto& p, const auto& q) { return p->text < q->text; });
      int64_t& factor = result.coefficients[product];
      factor = add(factor, multiply(fx, fy));
    }
  }
  return Dim::from_terms(std::move(result));
}

Dim Dim::combine(char kind, const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return apply(kind, a.constant_, b.constant_);
  static const std::map<char, std::string> kNames = {
      {'/', "//"}, {'%', "%"}, {'<', "min"}, {'>', "max"}};
  const std::string& name = kNames.at(kind);
  Atom atom{kind, {}, a, b};
  atom.text = kind == '<' || kind == '>' ? join(name, "(", a, ", ", b, ")")
                                         : join("((", a, ")", name, "(", b, "))");
  check_size(atom.text.size() <= kMaxAtomText);
  Terms terms;
  terms.coefficients[{std::make_shared<const Atom>(std::move(atom))}] = 1;
  return from_terms(std::move(terms));
}

Dim floor_div(const Dim& a, const Dim& b) {
  if (b == Dim(1)) return a;
  if (b.is_constant() && b.constant_ != 0 && !a.is_constant()) {
    Dim::Terms exact, rest;
    for (const auto& [product, factor] : a.terms().coefficients)
      (factor % b.constant_ == 0 ? exact : rest).coefficients[product] = factor;
    for (auto& [product, factor] : exact.coefficients) factor /= b.constant_;
    if (!exact.coefficients.empty())
      return Dim::from_terms(std::move(exact)) + floor_div(Dim::from_terms(std::move(rest)), b);
  } else if (a == b && !a.is_constant()) {
    return 1;
  } else if (!b.is_constant() && b.terms_->coefficients.size() == 1) {
    // (product of b * rest) // b for one product b: take it out of every term that holds it.
    const auto& [divisor, factor] = *b.terms_->coefficients.begin();
    Dim::Terms quotient;
    bool exact = true;
    const Dim::Terms dividend = a.terms();
    for (const auto& [product, f] : dividend.coefficients) {
      exact = exact && f % factor == 0;
      Dim::Product left = product;
      for (const auto& atom : divisor) {
        auto found = std::find_if(left.begin(), left.end(),
                                  [&](const auto& p) { return p->text == atom->text; });
        exact = exact && found != left.end();
        if (found != left.end()) left.erase(found);
      }
      quotient.coefficients[left] = f / factor;
    }
    if (exact) return Dim::from_terms(std::move(quotient));
  }
  return Dim::combine('/', a, b);
}

Dim mod(const Dim& a, const Dim& b) {
  if (b == Dim(1)) return 0;
  const Dim remainder = a - floor_div(a, b) * b;
  return remainder.is_constant() ? remainder : Dim::combine('%', a, b);
}

Dim min(const Dim& a, const Dim& b) {
  const Dim difference = a - b;
  if (difference.is_constant()) return difference.constant_ <= 0 ? a : b;
  return Dim::combine('<', a, b);
}

Dim max(const Dim& a, const Dim& b) {
  const Dim difference = a - b;
  if (difference.is_constant()) return difference.constant_ >= 0 ? a : b;
  return Dim::combine('>', a, b);
}

bool operator==(const Dim& a, const Dim& b) {
  if (a.is_constant() != b.is_constant()) return false;
  if (a.is_constant()) return a.constant_ == b.constant_;
  return a.terms_ == b.terms_ || to_string(a) == to_string(b);
}

int64_t Dim::evaluate(const SymbolValues& values) const {
  if (is_constant()) return constant_;
  int64_t sum = 0;
  for (const auto& [product, factor] : terms_->coefficients) {
    int64_t term = factor;
    for (const auto& atom : product) {
      if (atom->kind == 's') {
        auto found = values.find(atom->text);
        require(found != values.end(), Errc::not_found, "symbol ", atom->text, " has no value");
        term = multiply(term, found->second);
      } else {
        term =
            multiply(term, apply(atom->kind, atom->a.evaluate(values), atom->b.evaluate(values)));
      }
    }
    sum = add(sum, term);
  }
  return sum;
}

Dim Dim::substitute(const SymbolValues& values) const {
  if (is_constant()) return *this;
  Dim sum = 0;
  for (const auto& [product, factor] : terms_->coefficients) {
    Dim term = factor;
    for (const auto& atom : product) {
      if (atom->kind == 's') {
        auto found = values.find(atom->text);
        term = term * (found != values.end() ? Dim(found->second) : symbol(atom->text));
        continue;
      }
      const Dim a = atom->a.substitute(values), b = atom->b.substitute(values);
      term = term * (atom->kind == '/'   ? floor_div(a, b)
                     : atom->kind == '%' ? mod(a, b)
                     : atom->kind == '<' ? min(a, b)
                                         : max(a, b));
    }
    sum = sum + term;
  }
  return sum;
}

void Dim::collect_symbols(std::set<std::string>& names) const {
  if (is_constant()) return;
  for (const auto& [product, factor] : terms_->coefficients) {
    for (const auto& atom : product) {
      if (atom->kind == 's') names.insert(atom->text);
      atom->a.collect_symbols(names);
      atom->b.collect_symbols(names);
    }
  }
}

std::optional<std::string> Dim::as_symbol() const {
  if (is_constant() || terms_->coefficients.size() != 1) return std::nullopt;
  const auto& [product, factor] = *terms_->coefficients.begin();
  if (factor != 1 || product.size() != 1 || product[0]->kind != 's') return std::nullopt;
  return product[0]->text;
}

std::string to_string(const Dim& dim) {
  if (dim.is_constant()) return std::to_string(dim.constant_);
  std::string text;
  // Products before the constant, which the map holds first.
  std::vector<std::pair<Dim::Product, int64_t>> terms(dim.terms_->coefficients.begin(),
                                                      dim.terms_->coefficients.end());
  if (terms.front().first.empty()) std::rotate(terms.begin(), terms.begin() + 1, terms.end());
  for (const auto& [product, factor] : terms) {
    if (!text.empty()) text += factor < 0 ? " - " : " + ";
    const int64_t shown = text.empty() ? factor : (factor < 0 ? -factor : factor);
    std::string term;
    for (const auto& atom : product) term += (term.empty() ? "" : "*") + atom->text;
    if (product.empty())
      term = std::to_string(shown);
    else if (shown != 1)
      term = std::to_string(shown) + "*" + term;
    text += term;
  }
  return text;
}

namespace {

// Recursive descent over: sum = product (('+'|'-') product)*; product = unary (('*'|'//'|'%')
// unary)*.
class DimParser {
 public:
  explicit DimParser(std::string_view text) : text_(text) {}

  Dim parse() {
    const Dim dim = sum();
    skip();
    require_argument(at_ == text_.size(), "dimension '", text_, "': unexpected '",
                     text_.substr(at_), "'");
    return dim;
  }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    require_argument(take(token), "dimension '", text_, "': '", token, "' wanted at '",
                     text_.substr(std::min(at_, text_.size())), "'");
  }
  Dim sum() {
    require_argument(++depth_ < 100, "dimension '", text_, "': nested too deeply");
    Dim left = product();
    for (;;) {
      if (take("+"))
        left = left + product();
      else if (take("-"))
        left = left - product();
      else
        break;
    }
    --depth_;
    return left;
  }
  Dim product() {
    Dim left = unary();
    for (;;) {
      if (take("//"))
        left = floor_div(left, unary());
      else if (take("*"))
        left = left * unary();
      else if (take("%"))
        left = mod(left, unary());
      else
        return left;
    }
  }
  Dim unary() {
    if (take("-")) {
      require_argument(++depth_ < 100, "dimension '", text_, "': nested too deeply");
      const Dim negative = Dim(0) - unary();
      --depth_;
      return negative;
    }
    if (take("(")) {
      const Dim inner = sum();
      expect(")");
      return inner;
    }
    skip();
    const size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    require_argument(!word.empty(), "dimension '", text_, "': a number or a name wanted");
    if (std::isdigit(static_cast<unsigned char>(word[0]))) {
      int64_t value = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      require_argument(error == std::errc() && end == word.data() + word.size(), "dimension '",
                       text_, "': bad number '", word, "'");
      return value;
    }
    if ((word == "min" || word == "max") && take("(")) {
      const Dim a = sum();
      expect(",");
      const Dim b = sum();
      expect(")");
      return word == "min" ? min(a, b) : max(a, b);
    }
    return Dim::symbol(std::string(word));
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Dim Dim::parse(std::string_view text) { return DimParser(text).parse(); }

std::string to_string(const Shape& shape) { return "[" + join_list(shape) + "]"; }

Dim elements(const Shape& shape) {
  Dim n = 1;
  for (const Dim& extent : shape) n = n * extent;
  return n;
}

Dims constant_dims(const Shape& shape) {
  Dims dims;
  for (const Dim& extent : shape) dims.push_back(extent.value());
  return dims;
}

Shape to_shape(const Dims& dims) { return Shape(dims.begin(), dims.end()); }

}  // namespace tutti
