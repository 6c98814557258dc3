// SPDX-License-Identifier: Apache-2.0
#include "ops/fused_matmul.h"

#include <numeric>

#include "core/error.h"
#include "core/strided.h"
#include "device/cpu/packed_matrix.h"
#include "ops/elementwise.h"

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

cpu::PackedLayout layout_named(std::string_view name) {
  const auto layout = cpu::parse_packed_layout(name);
  require_argument(layout.has_value(), "packed layout ", name, " is not known");
  return *layout;
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

std::vector<TensorType> FusedMatmul::infer(Types in) const {
  require_argument(in.size() >= 2, "fused_matmul: ", in.size(), " inputs; at least 2 are wanted");
  const TensorType &a = in[0], &b = in[1];
  require_argument(a.rank() >= 2 && is_float(a.dtype), "fused_matmul: a is ", a,
                   "; a matrix of floats is wanted");
  require_argument(!columns.empty() && columns.size() == epilogues.size(),
                   "fused_matmul: ", columns.size(), " outputs with ", epilogues.size(),
                   " epilogues");
  int64_t n = 0;
  for (int64_t c : columns) {
    require_argument(c >= 0 && !__builtin_add_overflow(n, c, &n), "fused_matmul: ", c, " columns");
  }
  const Dim& k = a.shape.back();
  Shape batch(a.shape.begin(), a.shape.end() - 2);
  if (!packed.empty()) {
    const Dim wanted = layout_named(packed).elements(k.value(), n);
    require_argument(b.shape == Shape{wanted} && b.dtype == layout_named(packed).dtype,
                     "fused_matmul: packed b is ", b, "; ", wanted, " elements are wanted");
  } else {
    require_argument(b.rank() >= 2 && b.dtype == a.dtype && b.shape[b.shape.size() - 2] == k &&
                         b.shape.back() == Dim(n),
                     "fused_matmul: b is ", b, ", a is ", a, " and there are ", n, " columns");
    batch = broadcast(batch, Shape(b.shape.begin(), b.shape.end() - 2));
  }
  std::vector<TensorType> out;
  for (size_t i = 0; i < columns.size(); ++i) {
    Shape shape = batch;
    shape.push_back(a.shape[a.shape.size() - 2]);
    shape.push_back(columns[i]);
    for (const EpilogueStep& step : epilogues[i]) {
      if (step.kind != EpilogueStep::Kind::add && step.kind != EpilogueStep::Kind::mul) continue;
      require_argument(step.operand >= 2 && static_cast<size_t>(step.operand) < in.size(),
                       "fused_matmul: epilogue names input ", step.operand, " of ", in.size());
      const TensorType& operand = in[static_cast<size_t>(step.operand)];
      require_argument(is_float(operand.dtype) && broadcast(shape, operand.shape) == shape,
                       "fused_matmul: operand ", operand, " does not broadcast to ", shape);
    }
    out.push_back({a.dtype, shape});
  }
  return out;
}

namespace {

// Strides of an operand broadcast to `shape`.
Dims broadcast_strides(const Tensor& t, const Dims& shape) {
  Dims strides = Dims::filled(shape.rank(), 0);
  for (int axis = 0; axis < t.rank(); ++axis) {
    const int to = shape.rank() - t.rank() + axis;
    strides[to] = t.shape[axis] == 1 ? 0 : t.strides[axis];
  }
  return strides;
}

double element(const Tensor& t, int64_t offset) {
  return with_dtype(t.dtype, [&](auto kind) {
    return static_cast<double>(convert<double>(static_cast<decltype(kind)*>(t.data)[offset]));
  });
}

void store(const Tensor& t, int64_t offset, double value) {
  with_dtype(t.dtype, [&](auto kind) {
    using T = decltype(kind);
    static_cast<T*>(t.data)[offset] = convert<T>(value);
  });
}

double apply(cpu::Unary f, double x) {
  const auto v = static_cast<float>(x);
  float y;
  cpu::apply(cpu::Isa::portable, f, &v, &y, 1);
  return y;
}

}  // namespace

void FusedMatmul::cpu(const KernelArgs& args) const {
  const Tensor& a = args.in[0];
  Tensor b = args.in[1];
  const int64_t k = a.shape.back();
  const int64_t n = std::accumulate(columns.begin(), columns.end(), int64_t{0});
  if (!packed.empty()) {
    const cpu::PackedLayout layout = layout_named(packed);
    b = Tensor::zeros(layout.dtype, {k, n});
    cpu::unpack_matrix(layout, k, n, args.in[1].data, b.data, {b.dtype, n, 1, {}});
  }
  int64_t first = 0;
  for (size_t i = 0; i < columns.size(); first += columns[i++]) {
    const Tensor& y = args.out[i];
    const int rank = y.rank();
    Dims a_strides = broadcast_strides(a, y.shape), b_strides = broadcast_strides(b, y.shape);
    a_strides[rank - 1] = 0;
    a_strides[rank - 2] = a.strides[a.rank() - 2];
    b_strides[rank - 2] = 0;
    b_strides[rank - 1] = b.strides[b.rank() - 1];
    const int64_t a_step = a.strides[a.rank() - 1], b_step = b.strides[b.rank() - 2];
    std::vector<int64_t> index(static_cast<size_t>(rank), 0);
    for_each_offset<3>(y.shape, {a_strides, b_strides, y.strides}, [&](const auto& at) {
      double value = 0;
      for (int64_t j = 0; j < k; ++j)
        value += element(a, at[0] + j * a_step) *
                 element(b, at[1] + first * b_strides[rank - 1] + j * b_step);
      for (const EpilogueStep& step : epilogues[i]) {
        int64_t offset = 0;
        double operand = step.factor;
        if (step.kind == EpilogueStep::Kind::add || step.kind == EpilogueStep::Kind::mul) {
          const Tensor& t = args.in[static_cast<size_t>(step.operand)];
          const Dims strides = broadcast_strides(t, y.shape);
          for (int axis = 0; axis < rank; ++axis)
            offset += index[static_cast<size_t>(axis)] * strides[axis];
          operand = element(t, offset);
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
      store(y, at[2], value);
      for (int axis = rank - 1; axis >= 0; --axis) {
        if (++index[static_cast<size_t>(axis)] < y.shape[axis]) break;
        index[static_cast<size_t>(axis)] = 0;
      }
    });
  }
}

std::vector<TensorType> PackMatrix::infer(Types in) const {
  require_argument(in.size() == 1 && in[0].rank() == 2 && is_float(in[0].dtype),
                   "pack_matrix: one matrix of floats is wanted");
  const cpu::PackedLayout to = layout_named(layout);
  return {{to.dtype, {to.elements(in[0].shape[0].value(), in[0].shape[1].value())}}};
}

void PackMatrix::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  cpu::pack_matrix(layout_named(layout), x.shape[0], x.shape[1], x.data,
                   {x.dtype, x.strides[0], x.strides[1], {}}, args.out[0].data);
}

}  // namespace tutti
