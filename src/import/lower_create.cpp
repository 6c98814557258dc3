// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "import/arithmetic.h"
#include "ops/constant.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// The type a Python number gives a new tensor.
DType natural_type(const Number& number) {
  switch (number.kind) {
    case Number::Kind::boolean:
      return DType::boolean;
    case Number::Kind::integer:
      return DType::i64;
    default:
      return DType::f32;
  }
}

Results filled(Lowering& l, const Number& value, ElementType type, const Shape& shape) {
  require(!type.is_complex, Errc::unsupported, "new complex tensors are not supported");
  if (value.is_constant()) return l.e.full(value.as_real(), type.dtype, shape);
  return l.e.expand(convert(l, value, type.dtype), shape);
}

Results full(Lowering& l, const Args& a) {
  const Number& value = a.number("fill_value");
  return filled(l, value, a.type("dtype").value_or(ElementType{natural_type(value)}),
                a.dims("size"));
}
Results scalar_tensor(Lowering& l, const Args& a) {
  return filled(l, a.number("s"), a.type("dtype").value_or(ElementType{DType::f32}), {});
}

template <int value>
Results constant(Lowering& l, const Args& a) {
  return filled(l, Number::of_dim(value), a.type("dtype").value_or(ElementType{DType::f32}),
                a.dims("size"));
}

Results like(Lowering& l, const Args& a, const Number& value, const Shape& shape) {
  const Ref x = a.ref("self");
  const ElementType type = a.type("dtype").value_or(l.type(x));
  if (!type.is_complex) return filled(l, value, type, shape);
  const Results real = filled(l, value, {type.dtype}, shape);
  return convert(l, std::get<Array>(real.items[0]), type);
}

template <int value>
Results constant_like(Lowering& l, const Args& a) {
  return like(l, a, Number::of_dim(value), l.shape(a.ref("self")));
}
Results full_like(Lowering& l, const Args& a) {
  return like(l, a, a.number("fill_value"), l.shape(a.ref("self")));
}
template <int value>
Results new_constant(Lowering& l, const Args& a) {
  return like(l, a, Number::of_dim(value), a.dims("size"));
}
Results new_full(Lowering& l, const Args& a) {
  return like(l, a, a.number("fill_value"), a.dims("size"));
}

bool is_real(const Number& number) { return number.kind == Number::Kind::real; }

// The length of start, start + step, ... before end.
Dim range_size(const Number& start, const Number& end, const Number& step) {
  if (is_real(start) || is_real(end) || is_real(step))
    return static_cast<int64_t>(std::ceil((end.as_real() - start.as_real()) / step.as_real()));
  const Dim span = end.as_dim() - start.as_dim(), stride = step.as_dim();
  require_argument(!(stride == Dim(0)), "arange: step is 0");
  return floor_div(span + stride - (stride.is_constant() && stride.value() < 0 ? -1 : 1), stride);
}

Results arange_of(Lowering& l, const Args& a, const Number& start, const Number& step) {
  const Number& end = a.number("end");
  const bool real = is_real(start) || is_real(end) || is_real(step);
  const ElementType type = a.type("dtype").value_or(ElementType{real ? DType::f32 : DType::i64});
  Arange arange;
  arange.size = range_size(start, end, step);
  arange.dtype = type.dtype;
  const bool symbolic = !start.is_constant() || !step.is_constant();
  if (is_float(type.dtype) && !symbolic) {
    arange.float_start = start.as_real();
    arange.float_step = step.as_real();
    return l.e.op(arange, {});
  }
  const auto whole = [](const Number& n) {
    return is_real(n) ? Dim(static_cast<int64_t>(n.as_real())) : n.as_dim();
  };
  arange.start = whole(start);
  arange.step = whole(step);
  if (is_float(type.dtype)) arange.dtype = DType::i64;
  return l.e.cast(l.e.op(arange, {}), type.dtype);
}

Results arange(Lowering& l, const Args& a) {
  return arange_of(l, a, a.number("start"), a.number("step"));
}

// Both halves are computed from their own end, in the type of the result.
template <class T>
void fill_linspace(Tensor& tensor, double from, double to) {
  const int64_t n = tensor.shape[0];
  const T start = static_cast<T>(from), end = static_cast<T>(to);
  const T step = n > 1 ? (end - start) / static_cast<T>(n - 1) : T(0);
  for (int64_t i = 0; i < n; ++i)
    tensor.as<T>()[i] = i < n / 2 || n == 1 ? start + step * static_cast<T>(i)
                                            : end - step * static_cast<T>(n - 1 - i);
}

Tensor spaced(const Args& a, DType type) {
  Tensor tensor = Tensor::zeros(type, {a.integer("steps")});
  const double start = a.real("start"), end = a.real("end");
  if (type == DType::f32)
    fill_linspace<float>(tensor, start, end);
  else
    fill_linspace<double>(tensor, start, end);
  return tensor;
}

Results linspace(Lowering& l, const Args& a) {
  const DType type = a.type("dtype").value_or(ElementType{DType::f32}).dtype;
  const DType computed = type == DType::f32 ? DType::f32 : DType::f64;
  return l.e.cast(l.e.op(Constant{spaced(a, computed)}, {}), type);
}

Results logspace(Lowering& l, const Args& a) {
  const DType type = a.type("dtype").value_or(ElementType{DType::f32}).dtype;
  const Tensor tensor = spaced(a, DType::f64);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.as<double>()[i] = std::pow(a.real("base"), tensor.as<double>()[i]);
  return l.e.cast(l.e.op(Constant{tensor}, {}), type);
}

Results eye(Lowering& l, const Args& a) {
  const DType type = a.type("dtype").value_or(ElementType{DType::f32}).dtype;
  const ValueId rows = l.e.unsqueeze(l.e.iota(a.dim("n")), 1);
  const ValueId columns = l.e.iota(a.has("m") ? a.dim("m") : a.dim("n"));
  return l.e.cast(l.e.binary(Fn::equal, rows, columns), type);
}

constexpr Row kRows[] = {
    {"full", "size, fill_value, dtype=None", full},
    {"scalar_tensor", "s, dtype=None", scalar_tensor},
    {"zeros", "size, dtype=None", constant<0>},
    {"ones", "size, dtype=None", constant<1>},
    // What PyTorch leaves undefined is zero here.
    {"empty.memory_format", "size, dtype=None", constant<0>},
    {"empty_strided", "size, stride, dtype=None", constant<0>},
    {"empty_permuted", "size, physical_layout, dtype=None", constant<0>},
    {"zeros_like empty_like", "self, dtype=None", constant_like<0>},
    {"ones_like", "self, dtype=None", constant_like<1>},
    {"full_like", "self, fill_value, dtype=None", full_like},
    {"new_zeros new_empty", "self, size, dtype=None", new_constant<0>},
    {"new_empty_strided", "self, size, stride, dtype=None", new_constant<0>},
    {"new_ones", "self, size, dtype=None", new_constant<1>},
    {"new_full", "self, size, fill_value, dtype=None", new_full},
    {"arange arange.start arange.start_step", "end, start=0, step=1, dtype=None", arange},
    {"linspace", "start, end, steps, dtype=None", linspace},
    {"logspace", "start, end, steps, base=10.0, dtype=None", logspace},
    {"eye eye.m", "n, m=None, dtype=None", eye},
};

}  // namespace

std::span<const Row> create_rows() { return kRows; }

}  // namespace tutti::pt2
