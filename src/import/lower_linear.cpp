// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "import/arithmetic.h"
#include "import/einsum.h"
#include "ops/matmul.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

ValueId product(Lowering& l, ValueId a, ValueId b, ValueId addend = kNone) {
  if (addend == kNone) return l.e.op(Matmul{}, {a, b});
  return l.e.op(Matmul{}, {a, b, addend});
}

// torch.matmul: vectors become rows or columns, and their axis goes away again.
ValueId matmul_of(Lowering& l, ValueId a, ValueId b) {
  const bool row = l.e.rank(a) == 1, column = l.e.rank(b) == 1;
  if (row) a = l.e.unsqueeze(a, 0);
  if (column) b = l.e.unsqueeze(b, 1);
  ValueId y = product(l, a, b);
  if (column) y = l.e.squeeze(y, l.e.rank(y) - 1);
  if (row) y = l.e.squeeze(y, l.e.rank(y) - (column ? 1 : 2));
  return y;
}

template <const char* const* names>
Results matmul(Lowering& l, const Args& a) {
  return matmul_of(l, a.value(names[0]), a.value(names[1]));
}
constexpr const char* kSelfOther[] = {"self", "other"};
constexpr const char* kSelfMat2[] = {"self", "mat2"};
constexpr const char* kSelfVec[] = {"self", "vec"};
constexpr const char* kSelfTensor[] = {"self", "tensor"};

// Of small floats, summed and kept in another type.
Results widened_product(Lowering& l, const Args& a) {
  const DType type = a.type("out_dtype").value().dtype;
  return matmul_of(l, l.e.cast(a.value("self"), type), l.e.cast(a.value("mat2"), type));
}

Results integer_product(Lowering& l, const Args& a) {
  return matmul_of(l, l.e.cast(a.value("self"), DType::i32), l.e.cast(a.value("mat2"), DType::i32));
}

Results linear(Lowering& l, const Args& a) {
  ValueId x = a.value("input");
  const ValueId weight = a.value("weight"), bias = a.value_or_none("bias");
  if (l.e.rank(weight) == 1) {
    const ValueId y = matmul_of(l, x, weight);
    return bias == kNone ? y : l.e.binary(Fn::add, y, bias);
  }
  const bool is_row = l.e.rank(x) == 1;
  if (is_row) x = l.e.unsqueeze(x, 0);
  const ValueId y = product(l, x, l.e.transpose(weight, 0, 1), bias);
  return is_row ? l.e.squeeze(y, 0) : y;
}

bool is_one(const Number& number) { return number.is_constant() && number.as_real() == 1; }
bool is_zero(const Number& number) { return number.is_constant() && number.as_real() == 0; }

// beta * addend + alpha * a b
ValueId add_product(Lowering& l, const Args& args, ValueId a, ValueId b) {
  const Number &beta = args.number("beta"), &alpha = args.number("alpha");
  const ValueId addend = args.value("self");
  if (is_one(alpha) && is_one(beta)) return product(l, a, b, addend);
  const ValueId y = product(l, a, b);
  const Array scaled = binary(l, Fn::mul, widen(l, y), alpha);
  if (is_zero(beta)) return l.e.cast(scaled.id, l.e.dtype(y));
  const Array sum = add(l, Fn::add, scaled, widen(l, addend), beta);
  return l.e.cast(sum.id, l.e.dtype(y));
}

Results addmm(Lowering& l, const Args& a) {
  return add_product(l, a, a.value("mat1"), a.value("mat2"));
}
Results baddbmm(Lowering& l, const Args& a) {
  return add_product(l, a, a.value("batch1"), a.value("batch2"));
}

// The products of a batch added up: one product of matrices side by side.
Results addbmm(Lowering& l, const Args& a) {
  const ValueId x = a.value("batch1"), y = a.value("batch2");
  const Shape xs = l.e.shape(x), ys = l.e.shape(y);
  return add_product(l, a, l.e.reshape(l.e.permute(x, {1, 0, 2}), {xs[1], xs[0] * xs[2]}),
                     l.e.reshape(y, {ys[0] * ys[1], ys[2]}));
}

Results addmv(Lowering& l, const Args& a) {
  const Number &beta = a.number("beta"), &alpha = a.number("alpha");
  const ValueId y = matmul_of(l, a.value("mat"), a.value("vec"));
  const Array scaled = is_one(alpha) ? Array{y} : binary(l, Fn::mul, y, alpha);
  return add(l, Fn::add, scaled, a.operand("self"), beta);
}

Array outer_of(Lowering& l, Array x, Array y) {
  return binary(l, Fn::mul, Array{l.e.unsqueeze(x.id, 1), x.is_complex},
                Array{l.e.unsqueeze(y.id, 0), y.is_complex});
}
Results outer(Lowering& l, const Args& a) { return outer_of(l, a.array("self"), a.array("vec2")); }
Results addr(Lowering& l, const Args& a) {
  const Array y = outer_of(l, a.array("vec1"), a.array("vec2"));
  const Number &beta = a.number("beta"), &alpha = a.number("alpha");
  const Array scaled = is_one(alpha) ? y : binary(l, Fn::mul, y, alpha);
  return add(l, Fn::add, scaled, a.operand("self"), beta);
}

// Sums of products over the last axes of both.
Results inner(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), y = a.value("other");
  if (l.e.rank(x) == 0 || l.e.rank(y) == 0) return l.e.binary(Fn::mul, x, y);
  const Dim k = l.e.shape(x).back();
  Shape to(l.e.shape(x).begin(), l.e.shape(x).end() - 1);
  to.insert(to.end(), l.e.shape(y).begin(), l.e.shape(y).end() - 1);
  const auto matrix = [&](ValueId v) {
    const Shape& shape = l.e.shape(v);
    return l.e.reshape(v, {elements(Shape(shape.begin(), shape.end() - 1)), k});
  };
  return l.e.reshape(product(l, matrix(x), l.e.transpose(matrix(y), 0, 1)), to);
}

// x as a matrix whose columns, or rows, are the given axes.
ValueId as_matrix(Lowering& l, ValueId x, const std::vector<int64_t>& axes, bool columns,
                  Shape& others) {
  std::vector<int64_t> order;
  Dim count = 1, rest = 1;
  for (int64_t i = 0; i < l.e.rank(x); ++i) {
    if (std::find(axes.begin(), axes.end(), i) != axes.end()) continue;
    order.push_back(i);
    others.push_back(l.e.extent(x, i));
    rest = rest * l.e.extent(x, i);
  }
  for (int64_t axis : axes) count = count * l.e.extent(x, axis);
  order.insert(columns ? order.end() : order.begin(), axes.begin(), axes.end());
  return l.e.reshape(l.e.permute(x, order), columns ? Shape{rest, count} : Shape{count, rest});
}

Results tensordot(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), y = a.value("other");
  std::vector<int64_t> xs, ys;
  for (int64_t axis : a.integers("dims_self")) xs.push_back(normal_axis(axis, l.e.rank(x)));
  for (int64_t axis : a.integers("dims_other")) ys.push_back(normal_axis(axis, l.e.rank(y)));
  Shape to;
  const ValueId left = as_matrix(l, x, xs, true, to), right = as_matrix(l, y, ys, false, to);
  return l.e.reshape(product(l, left, right), to);
}

Results einsum_of(Lowering& l, const Args& a) {
  return einsum(l.e, a.text("equation"), a.values("tensors"));
}

constexpr char kTensors[] = "tensors";
constexpr char kMatrices[] = "matrices";

template <const char* name>
Results multi_dot(Lowering& l, const Args& a) {
  const std::vector<ValueId> tensors = a.values(name);
  ValueId y = tensors.at(0);
  for (size_t i = 1; i < tensors.size(); ++i) y = matmul_of(l, y, tensors[i]);
  return y;
}

Results vector_dot(Lowering& l, const Args& a) {
  const ValueId y = binary(l, Fn::mul, a.array("x"), a.array("y")).id;
  const ValueId sum = l.e.reduce("sum", widen(l, y), {a.axis("dim", l.e.rank(y))}, false);
  return l.e.cast(sum, l.e.dtype(y));
}

// x turned by `shift` along an axis of extent 3.
ValueId turned(Lowering& l, ValueId x, int64_t axis, int64_t shift) {
  return l.e.concat({l.e.slice(x, axis, shift, 3 - shift), l.e.slice(x, axis, 0, shift)}, axis);
}

Results cross(Lowering& l, const Args& a) {
  const ValueId x = a.value("self"), y = a.value("other");
  int64_t axis = 0;
  if (a.has("dim"))
    axis = a.axis("dim", l.e.rank(x));
  else
    while (axis + 1 < l.e.rank(x) && !(l.e.extent(x, axis) == Dim(3))) ++axis;
  require_argument(l.e.extent(x, axis) == Dim(3), "cross product along an extent of ",
                   l.e.extent(x, axis));
  const auto times = [&](int64_t i, int64_t j) {
    return l.e.binary(Fn::mul, turned(l, x, axis, i), turned(l, y, axis, j));
  };
  return l.e.binary(Fn::sub, times(1, 2), times(2, 1));
}

Results bilinear(Lowering& l, const Args& a) {
  const ValueId y =
      einsum(l.e, "...i,oij,...j->...o", {a.value("input1"), a.value("weight"), a.value("input2")});
  const ValueId bias = a.value_or_none("bias");
  return bias == kNone ? y : l.e.binary(Fn::add, y, bias);
}

// Three tensors with axes added, multiplied, and summed over other axes.
Results trilinear(Lowering& l, const Args& a) {
  const auto operand = [&](std::string_view name, std::string_view added) {
    ValueId x = widen(l, a.value(name));
    for (int64_t axis : a.integers(added)) x = l.e.unsqueeze(x, axis);
    return x;
  };
  const ValueId x = operand("i1", "expand1"), y = operand("i2", "expand2");
  const ValueId product = l.e.binary(Fn::mul, l.e.binary(Fn::mul, x, y), operand("i3", "expand3"));
  const std::vector<int64_t> axes = a.axes("sumdim", l.e.rank(product));
  return l.e.cast(l.e.reduce("sum", product, axes, false), l.e.dtype(a.value("i1")));
}

constexpr Row kRows[] = {
    {"linear", "input, weight, bias=None", linear},
    {"matmul linalg_matmul", "self, other", matmul<kSelfOther>},
    {"mm bmm", "self, mat2", matmul<kSelfMat2>},
    {"mm.dtype bmm.dtype", "self, mat2, out_dtype", widened_product},
    {"_int_mm", "self, mat2", integer_product},
    {"mv", "self, vec", matmul<kSelfVec>},
    {"dot", "self, tensor", matmul<kSelfTensor>},
    {"vdot", "self, other", matmul<kSelfOther>},
    {"addmm", "self, mat1, mat2, beta=1, alpha=1", addmm},
    {"baddbmm", "self, batch1, batch2, beta=1, alpha=1", baddbmm},
    {"addbmm", "self, batch1, batch2, beta=1, alpha=1", addbmm},
    {"addmv", "self, mat, vec, beta=1, alpha=1", addmv},
    {"outer ger", "self, vec2", outer},
    {"addr", "self, vec1, vec2, beta=1, alpha=1", addr},
    {"inner", "self, other", inner},
    {"tensordot", "self, other, dims_self, dims_other", tensordot},
    {"einsum", "equation, tensors, path=None", einsum_of},
    {"linalg_multi_dot", "tensors", multi_dot<kTensors>},
    {"chain_matmul", "matrices", multi_dot<kMatrices>},
    {"linalg_vecdot", "x, y, dim=-1", vector_dot},
    {"cross", "self, other, dim=None", cross},
    {"linalg_cross", "self, other, dim=-1", cross},
    {"_trilinear", "i1, i2, i3, expand1, expand2, expand3, sumdim, unroll_dim=1", trilinear},
    {"bilinear", "input1, input2, weight, bias=None", bilinear},
};

}  // namespace

std::span<const Row> linear_rows() { return kRows; }

}  // namespace tutti::pt2
