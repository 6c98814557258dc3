// SPDX-License-Identifier: Apache-2.0
#include "ops/epilogue.h"

#include "core/error.h"
#include "core/strided.h"
#include "ops/elementwise.h"
#include "ops/loops.h"

namespace tutti {
namespace {

std::string step_text(const EpilogueStep& step) {
  switch (step.kind) {
    case EpilogueStep::Kind::add:
      return join("add ", step.operand);
    case EpilogueStep::Kind::mul:
      return join("mul ", step.operand);
    case EpilogueStep::Kind::scale:
      return join("scale ", step.factor);
    case EpilogueStep::Kind::unary:
      return std::string(to_string(step.unary));
    case EpilogueStep::Kind::round:
      return "round";
  }
  return {};
}

bool parse_step(std::string_view text, EpilogueStep& step) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text == "round") {
    step.kind = EpilogueStep::Kind::round;
    return true;
  }
  if (text.starts_with("scale ")) {
    step.kind = EpilogueStep::Kind::scale;
    return parse_attribute(text.substr(6), step.factor);
  }
  if (text.starts_with("add ") || text.starts_with("mul ")) {
    step.kind = text[0] == 'a' ? EpilogueStep::Kind::add : EpilogueStep::Kind::mul;
    return parse_attribute(text.substr(4), step.operand);
  }
  const auto unary = cpu::parse_unary(text);
  if (unary) step.unary = *unary;
  step.kind = EpilogueStep::Kind::unary;
  return unary.has_value();
}

double apply(cpu::Unary f, double x) {
  const auto v = static_cast<float>(x);
  float y;
  cpu::apply(cpu::Isa::portable, f, &v, &y, 1);
  return y;
}

}  // namespace

std::string attribute_text(const std::vector<Epilogue>& value) {
  std::string text = "{";
  for (size_t i = 0; i < value.size(); ++i) {
    if (i > 0) text += " | ";
    for (size_t k = 0; k < value[i].size(); ++k)
      text += (k > 0 ? "; " : "") + step_text(value[i][k]);
  }
  return text + "}";
}

bool parse_attribute(std::string_view text, std::vector<Epilogue>& value) {
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return false;
  value.clear();
  for (const std::string& one : split_text(text.substr(1, text.size() - 2), '|')) {
    Epilogue& epilogue = value.emplace_back();
    if (one.find_first_not_of(' ') == std::string::npos) continue;
    for (const std::string& step : split_text(one, ';'))
      if (!parse_step(step, epilogue.emplace_back())) return false;
  }
  return true;
}

void check_epilogue(std::string_view op, const Epilogue& epilogue, Types in, size_t first,
                    const Shape& shape) {
  for (const EpilogueStep& step : epilogue) {
    if (!step.reads()) continue;
    require_argument(step.operand >= static_cast<int64_t>(first) &&
                         static_cast<size_t>(step.operand) < in.size(),
                     op, ": epilogue names input ", step.operand, " of ", in.size());
    const TensorType& operand = in[static_cast<size_t>(step.operand)];
    require_argument(is_float(operand.dtype) && broadcast(shape, operand.shape) == shape, op,
                     ": operand ", operand, " does not broadcast to ", shape);
  }
}

double read_element(const Tensor& t, int64_t offset) {
  return with_dtype(t.dtype, [&](auto kind) {
    return static_cast<double>(convert<double>(static_cast<decltype(kind)*>(t.data)[offset]));
  });
}

double apply_epilogue(const Epilogue& epilogue, std::span<const Tensor> in, const Tensor& y,
                      const std::vector<int64_t>& index, double value) {
  for (const EpilogueStep& step : epilogue) {
    double operand = step.factor;
    if (step.reads()) {
      const Tensor& t = in[static_cast<size_t>(step.operand)];
      const Dims strides = broadcast_strides(t, y.shape);
      int64_t offset = 0;
      for (int axis = 0; axis < strides.rank(); ++axis)
        offset += index[static_cast<size_t>(axis)] * strides[axis];
      operand = read_element(t, offset);
    }
    switch (step.kind) {
      case EpilogueStep::Kind::add:
        value += operand;
        break;
      case EpilogueStep::Kind::mul:
      case EpilogueStep::Kind::scale:
        value *= operand;
        break;
      case EpilogueStep::Kind::unary:
        value = apply(step.unary, value);
        break;
      case EpilogueStep::Kind::round:
        value = y.dtype == DType::bf16  ? static_cast<float>(bf16(static_cast<float>(value)))
                : y.dtype == DType::f16 ? static_cast<float>(f16(static_cast<float>(value)))
                                        : value;
    }
  }
  return value;
}

cpu::PostOp post_op(const EpilogueStep& step, const cpu::MatrixLayout& layout, DType dtype) {
  const int operand = static_cast<int>(step.operand);
  switch (step.kind) {
    case EpilogueStep::Kind::add:
      return cpu::PostOp::add(operand, layout);
    case EpilogueStep::Kind::mul:
      return cpu::PostOp::multiply(operand, layout);
    case EpilogueStep::Kind::scale:
      return cpu::PostOp::scale(static_cast<float>(step.factor));
    case EpilogueStep::Kind::unary:
      return cpu::PostOp::apply(step.unary);
    case EpilogueStep::Kind::round:
      return cpu::PostOp::round(dtype);
  }
  return {};
}

}  // namespace tutti
