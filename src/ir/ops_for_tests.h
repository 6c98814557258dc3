// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti::test_ops {

// Operators for the tests of this room, which does not know the real ones.

/// One result of the operands' type; all operands of one type.
struct Join {
  static constexpr auto kName = "join";
  static constexpr auto kDoc = "";
  static constexpr auto fields() { return std::tuple<>{}; }
  std::vector<TensorType> infer(Types in) const {
    require_argument(!in.empty(), "no operand");
    for (const TensorType& type : in)
      require_argument(type == in[0], "operand is ", type, "; ", in[0], " is wanted");
    return {in[0]};
  }
};

/// `count` results of the operand's type.
struct Copies {
  int64_t count = 1;
  static constexpr auto kName = "copies";
  static constexpr auto kDoc = "";
  static constexpr auto fields() { return std::tuple{field("count", &Copies::count, "")}; }
  std::vector<TensorType> infer(Types in) const {
    require_argument(count >= 0 && count < 100 && in.size() == 1, "count or operands");
    return std::vector<TensorType>(static_cast<size_t>(count), in[0]);
  }
};

/// No operand; one attribute of each type; the result is dtype[shape].
struct Source {
  bool flag = false;
  int64_t integer = 0;
  double number = 0;
  std::string text;
  DType dtype = DType::f32;
  Dim dim = 0;
  Shape shape;
  std::vector<int64_t> integers;
  std::vector<double> numbers;
  std::optional<int64_t> maybe;
  Tensor tensor = Tensor::zeros(DType::f32, {0});
  static constexpr auto kName = "source";
  static constexpr auto kDoc = "";
  static constexpr auto fields() {
    return std::tuple{
        field("flag", &Source::flag, ""),       field("integer", &Source::integer, ""),
        field("number", &Source::number, ""),   field("text", &Source::text, ""),
        field("dtype", &Source::dtype, ""),     field("dim", &Source::dim, ""),
        field("shape", &Source::shape, ""),     field("integers", &Source::integers, ""),
        field("numbers", &Source::numbers, ""), field("maybe", &Source::maybe, ""),
        field("tensor", &Source::tensor, "")};
  }
  std::vector<TensorType> infer(Types) const { return {{dtype, shape}}; }
};

inline Op make_op(std::string_view name, const Attributes& attributes) {
  if (name == Join::kName) return parse_op<Join>(name, attributes);
  if (name == Copies::kName) return parse_op<Copies>(name, attributes);
  if (name == Source::kName) return parse_op<Source>(name, attributes);
  fail(Errc::not_found, "operator ", name, " is not known");
}

}  // namespace tutti::test_ops
