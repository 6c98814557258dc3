// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::pt2 {

/// An integer expression over symbols, as exported programs give the sizes of tensors.
struct Expr {
  enum class Kind : uint8_t {
    integer,     ///< value
    symbol,      ///< name
    add,         ///< sum of args
    mul,         ///< product of args
    pow,         ///< args[0] to the args[1]
    mod,         ///< rest of args[0] / args[1], both >= 0
    floor_div,   ///< args[0] / args[1], rounded down
    clean_div,   ///< args[0] / args[1], which leaves no rest
    max,         ///< largest of args
    min,         ///< smallest of args
    python_mod,  ///< rest of args[0] / args[1], with the sign of args[1]
    other,       ///< name: a function, or a text, that is none of these
  };
  Kind kind = Kind::integer;
  int64_t value = 0;
  std::string_view name;  ///< points into the text that was parsed
  std::vector<Expr> args;
};

/// Parses sympy's srepr ("Mul(Integer(2), Symbol('s0', integer=True))") or infix ("2*s0 + 1").
///
/// Functions without a kind of their own become Kind::other. Throws corrupt for what is neither
/// form, nests too deep or has an integer beyond 64 bits.
Expr parse_expr(std::string_view text);

/// Infix text: "2*s0 + 1", "Max(s0, 4)".
std::string to_string(const Expr& expr);

/// The value when symbols have the values that `value_of` gives.
///
/// Throws unsupported for Kind::other and invalid_argument for a division by zero, a division with
/// a rest where there must be none, and results beyond 64 bits.
int64_t evaluate(const Expr& expr, const std::function<int64_t(std::string_view)>& value_of);

}  // namespace tutti::pt2
