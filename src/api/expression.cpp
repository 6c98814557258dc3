// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <numeric>

#include "api/network.h"
#include "core/error.h"

namespace tutti {

int64_t axis_from_front(const Expression& x, int64_t axis, std::string_view op) {
  const int64_t rank = x.rank();
  require_argument(axis >= -rank && axis < rank, op, ": axis ", axis, " of ", x.describe(), "; ",
                   -rank, " to ", rank - 1, " is wanted");
  return axis < 0 ? axis + rank : axis;
}

namespace {

Expression reduce(const char* fn, const Expression& x, const std::vector<int64_t>& axes,
                  bool keep) {
  std::vector<int64_t> sorted;
  for (int64_t axis : axes) sorted.push_back(axis_from_front(x, axis, fn));
  std::sort(sorted.begin(), sorted.end());
  return operation("reduce", {x}, {{"fn", fn}, {"axes", sorted}, {"keep", keep}});
}

// x, then the operands that are there.
std::vector<Expression> present(const Expression& x, std::initializer_list<Expression> optional) {
  std::vector<Expression> operands{x};
  for (const Expression& operand : optional)
    if (operand) operands.push_back(operand);
  return operands;
}

int64_t rank_or_one(const Expression& weight) { return weight ? weight.rank() : 1; }

}  // namespace

Expression operator+(const Expression& a, const Expression& b) { return operation("add", {a, b}); }
Expression operator-(const Expression& a, const Expression& b) { return operation("sub", {a, b}); }
Expression operator*(const Expression& a, const Expression& b) { return operation("mul", {a, b}); }
Expression operator/(const Expression& a, const Expression& b) { return operation("div", {a, b}); }
Expression operator+(const Expression& a, double b) { return a + a.constant_like(b); }
Expression operator-(const Expression& a, double b) { return a - a.constant_like(b); }
Expression operator*(const Expression& a, double b) { return a * a.constant_like(b); }
Expression operator/(const Expression& a, double b) { return a / a.constant_like(b); }
Expression operator+(double a, const Expression& b) { return b.constant_like(a) + b; }
Expression operator-(double a, const Expression& b) { return b.constant_like(a) - b; }
Expression operator*(double a, const Expression& b) { return b.constant_like(a) * b; }
Expression operator/(double a, const Expression& b) { return b.constant_like(a) / b; }
Expression operator-(const Expression& a) { return operation("neg", {a}); }

Expression relu(const Expression& x) { return operation("relu", {x}); }
Expression gelu(const Expression& x) { return operation("gelu", {x}); }
Expression gelu_tanh(const Expression& x) { return operation("gelu_tanh", {x}); }
Expression silu(const Expression& x) { return operation("silu", {x}); }
Expression sigmoid(const Expression& x) { return operation("sigmoid", {x}); }
Expression tanh(const Expression& x) { return operation("tanh", {x}); }
Expression exp(const Expression& x) { return operation("exp", {x}); }
Expression sqrt(const Expression& x) { return operation("sqrt", {x}); }
Expression rsqrt(const Expression& x) { return operation("rsqrt", {x}); }

Expression matmul(const Expression& a, const Expression& b) { return operation("matmul", {a, b}); }

Expression linear(const Expression& x, const Expression& weight, const Expression& bias) {
  require_argument(weight.rank() == 2, "linear: weight is ", weight.describe(),
                   "; [outputs, inputs] is wanted");
  return operation("matmul", present(x, {permute(weight, {1, 0}), bias}));
}

Expression softmax(const Expression& x, int64_t axis) {
  return operation("softmax", {x}, {{"axis", axis_from_front(x, axis, "softmax")}});
}

Expression layer_norm(const Expression& x, const Expression& weight, const Expression& bias,
                      double eps) {
  require_argument(weight || !bias, "layer_norm: a bias without a weight; both are wanted");
  return operation("layer_norm", present(x, {weight, bias}),
                   {{"axes", rank_or_one(weight)}, {"eps", eps}});
}

Expression rms_norm(const Expression& x, const Expression& weight, double eps) {
  return operation("rms_norm", present(x, {weight}), {{"axes", rank_or_one(weight)}, {"eps", eps}});
}

Expression attention(const Expression& q, const Expression& k, const Expression& v,
                     const Expression& mask, const Window& window, double scale) {
  if (scale == 0) {
    const Dim width = q.rank() == 4 ? to_shape(q.shape())[3] : Dim(0);
    require_argument(width.is_constant() && width.value() > 0, "attention: q is ", q.describe(),
                     "; [b, n, s, d] with a fixed d is wanted");
    scale = 1 / std::sqrt(static_cast<double>(width.value()));
  }
  return operation("attention", present(q, {k, v, mask}),
                   {{"scale", scale},
                    {"left", window.left},
                    {"right", window.right},
                    {"offset", window.offset}});
}

Expression embedding(const Expression& table, const Expression& indices) {
  return operation("take", {table, indices}, {{"axis", 0}});
}

Expression reshape(const Expression& x, const Extents& shape) {
  return operation("reshape", {x}, {{"shape", shape}});
}

Expression permute(const Expression& x, const std::vector<int64_t>& axes) {
  std::vector<int64_t> from_front;
  for (int64_t axis : axes) from_front.push_back(axis_from_front(x, axis, "permute"));
  return operation("permute", {x}, {{"axes", from_front}});
}

Expression transpose(const Expression& x, int64_t a, int64_t b) {
  std::vector<int64_t> axes(static_cast<size_t>(x.rank()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<size_t>(axis_from_front(x, a, "transpose"))],
            axes[static_cast<size_t>(axis_from_front(x, b, "transpose"))]);
  return permute(x, axes);
}

Expression concat(const std::vector<Expression>& operands, int64_t axis) {
  require_argument(!operands.empty(), "concat: an operand is wanted");
  return operation("concat", operands, {{"axis", axis_from_front(operands[0], axis, "concat")}});
}

Expression slice(const Expression& x, int64_t axis, const Extent& start, const Extent& size) {
  return operation("slice", {x},
                   {{"axis", axis_from_front(x, axis, "slice")}, {"start", start}, {"size", size}});
}

Expression sum(const Expression& x, const std::vector<int64_t>& axes, bool keep) {
  return reduce("sum", x, axes, keep);
}
Expression mean(const Expression& x, const std::vector<int64_t>& axes, bool keep) {
  return reduce("mean", x, axes, keep);
}
Expression max(const Expression& x, const std::vector<int64_t>& axes, bool keep) {
  return reduce("max", x, axes, keep);
}

Expression cast(const Expression& x, DType dtype) {
  return operation("cast", {x}, {{"dtype", dtype}});
}

Expression conv2d(const Expression& x, const Expression& weight, const Expression& bias,
                  int64_t stride, int64_t padding, int64_t groups) {
  return operation("conv", present(x, {weight, bias}),
                   {{"stride", {stride, stride}},
                    {"padding_before", {padding, padding}},
                    {"padding_after", {padding, padding}},
                    {"dilation", {1, 1}},
                    {"groups", groups}});
}

}  // namespace tutti
