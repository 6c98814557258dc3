// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/tensor.h"

namespace tutti {

/// Values of symbols, by name.
using SymbolValues = std::map<std::string, int64_t, std::less<>>;

/// An extent: an integer, or an expression over named symbols such as `2*s0 + 1`.
///
/// Kept as a sum of products in one normal form, so that equal polynomials compare equal.
/// Arithmetic checks for overflow of i64 and throws invalid_argument.
class Dim {
 public:
  Dim(int64_t value = 0) : constant_(value) {}
  static Dim symbol(std::string name);
  /// Reads what to_string writes: + - * // % min() max(), integers, names, parentheses.
  static Dim parse(std::string_view text);

  bool is_constant() const { return terms_ == nullptr; }
  /// The integer; throws invalid_argument for an expression, naming it.
  int64_t value() const;
  /// The integer under these values; throws not_found naming a symbol without a value.
  int64_t evaluate(const SymbolValues& values) const;
  /// The expression with the given symbols replaced by their values.
  Dim substitute(const SymbolValues& values) const;
  void collect_symbols(std::set<std::string>& names) const;
  /// The symbol's name when the expression is one symbol alone.
  std::optional<std::string> as_symbol() const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  /// Rounds towards minus infinity, as Python's // and %.
  friend Dim floor_div(const Dim& a, const Dim& b);
  friend Dim mod(const Dim& a, const Dim& b);
  friend Dim min(const Dim& a, const Dim& b);
  friend Dim max(const Dim& a, const Dim& b);
  /// True when both are the same for all values of the symbols, as far as the normal form tells.
  friend bool operator==(const Dim& a, const Dim& b);
  friend std::string to_string(const Dim& dim);

 private:
  struct Atom;
  using Product = std::vector<std::shared_ptr<const Atom>>;
  struct Terms;
  static Dim from_terms(Terms terms);
  Terms terms() const;
  static Dim combine(char kind, const Dim& a, const Dim& b);

  int64_t constant_ = 0;
  std::shared_ptr<const Terms> terms_;  // null for an integer
};

using Shape = std::vector<Dim>;

Dim operator+(const Dim& a, const Dim& b);
Dim operator-(const Dim& a, const Dim& b);
Dim operator*(const Dim& a, const Dim& b);
Dim floor_div(const Dim& a, const Dim& b);
Dim mod(const Dim& a, const Dim& b);
Dim min(const Dim& a, const Dim& b);
Dim max(const Dim& a, const Dim& b);
bool operator==(const Dim& a, const Dim& b);
std::string to_string(const Dim& dim);

/// "[2, s0]"
std::string to_string(const Shape& shape);

/// Product of the extents.
Dim elements(const Shape& shape);

/// The extents as integers; throws invalid_argument naming the first that is an expression.
Dims constant_dims(const Shape& shape);

/// An integer shape as symbolic one.
Shape to_shape(const Dims& dims);

}  // namespace tutti
