// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "device/cpu/gemm.h"
#include "ir/op.h"

namespace tutti {

/// One step between a sum of products and what is stored.
struct EpilogueStep {
  enum class Kind : uint8_t { add, mul, scale, unary, round } kind = Kind::add;
  int64_t operand = 0;  ///< input that is added or multiplied; broadcasts to the output
  double factor = 1;    ///< of scale
  cpu::Unary unary = cpu::Unary::relu;

  bool reads() const { return kind == Kind::add || kind == Kind::mul; }
};
using Epilogue = std::vector<EpilogueStep>;

/// Throws invalid_argument unless every operand is one of `in` from `first` on and broadcasts to
/// `shape`; `op` is the operator's name.
void check_epilogue(std::string_view op, const Epilogue& epilogue, Types in, size_t first,
                    const Shape& shape);

/// The steps on one sum: element `index` of the output `y`.
double apply_epilogue(const Epilogue& epilogue, std::span<const Tensor> in, const Tensor& y,
                      const std::vector<int64_t>& index, double value);

/// Element at `offset` of a tensor.
double read_element(const Tensor& t, int64_t offset);

/// The step for device/cpu/gemm.h; `layout` is its operand's, `dtype` the output's.
cpu::PostOp post_op(const EpilogueStep& step, const cpu::MatrixLayout& layout, DType dtype);

// Text of epilogues: "{add 2; gelu_tanh; mul 3 | }".
std::string attribute_text(const std::vector<Epilogue>& value);
bool parse_attribute(std::string_view text, std::vector<Epilogue>& value);

}  // namespace tutti
