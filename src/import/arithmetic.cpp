// SPDX-License-Identifier: Apache-2.0
#include "import/arithmetic.h"

#include <cmath>
#include <limits>

#include "core/dispatch.h"

namespace tutti::pt2 {
namespace {

Typed typed(const Lowering& l, const Operand& x) {
  if (!x.number)
    return {l.type(x.array), l.rank(x.array) == 0 ? Weight::scalar_tensor : Weight::tensor};
  switch (x.number->kind) {
    case Number::Kind::boolean:
      return {{DType::boolean}, Weight::number};
    case Number::Kind::integer:
      return {{DType::i64}, Weight::number};
    case Number::Kind::real:
      break;
  }
  return {{DType::f32}, Weight::number};
}

ValueId number_value(Lowering& l, const Number& number, DType dtype) {
  if (number.value != kNone) return l.e.cast(number.value, dtype);
  require(number.is_known, Errc::unsupported, "a condition on symbolic extents has no value");
  if (number.kind != Number::Kind::real) return l.e.integer(number.integer, dtype);
  if (number.is_constant()) return l.e.scalar(number.as_real(), dtype);
  return l.e.cast(float_value(l, number), dtype);
}

bool is_exact(const Number& number, DType dtype) {
  if (!number.is_constant()) return false;
  const double value = number.as_real();
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, bool>)
      return true;
    else
      return std::isnan(value) || static_cast<double>(static_cast<ComputeType<T>>(
                                      static_cast<T>(static_cast<ComputeType<T>>(value)))) == value;
  });
}

// True when PyTorch uses this operand unrounded although it computes in a small float.
bool is_finer(const Lowering& l, const Operand& x, DType dtype) {
  if (!is_small(dtype)) return false;
  if (x.number) return !is_exact(*x.number, dtype);
  return l.rank(x.array) == 0 && l.type(x.array).dtype != dtype && is_float(l.type(x.array).dtype);
}

Elementwise on_booleans(Elementwise fn) {
  switch (fn) {
    case Elementwise::add:
    case Elementwise::maximum:
      return Elementwise::logical_or;
    case Elementwise::mul:
    case Elementwise::minimum:
      return Elementwise::logical_and;
    default:
      return fn;
  }
}

Array complex_product(Lowering& l, Array a, Array b) {
  const auto times = [&](ValueId x, ValueId y) { return l.e.binary(Elementwise::mul, x, y); };
  const ValueId ar = real_part(l, a), ai = imaginary_part(l, a);
  const ValueId br = real_part(l, b), bi = imaginary_part(l, b);
  return make_complex(l, l.e.binary(Elementwise::sub, times(ar, br), times(ai, bi)),
                      l.e.binary(Elementwise::add, times(ar, bi), times(ai, br)));
}

Array complex_quotient(Lowering& l, Array a, Array b) {
  const ValueId br = real_part(l, b), bi = imaginary_part(l, b);
  const ValueId conjugate = l.e.unary(Elementwise::neg, bi);
  const Array product = complex_product(l, a, make_complex(l, br, conjugate));
  const ValueId square = l.e.binary(Elementwise::add, l.e.binary(Elementwise::mul, br, br),
                                    l.e.binary(Elementwise::mul, bi, bi));
  const auto part = [&](ValueId x) { return l.e.binary(Elementwise::div, x, square); };
  return make_complex(l, part(real_part(l, product)), part(imaginary_part(l, product)));
}

Array complex_binary(Lowering& l, Elementwise fn, const Operand& a, const Operand& b,
                     ElementType type) {
  const Array x = convert(l, a, type), y = convert(l, b, type);
  switch (fn) {
    case Elementwise::mul:
      return complex_product(l, x, y);
    case Elementwise::div:
      return complex_quotient(l, x, y);
    case Elementwise::add:
    case Elementwise::sub: {
      const auto part = [&](ValueId (*of)(Lowering&, Array)) {
        return l.e.binary(fn, of(l, x), of(l, y));
      };
      if (l.shape(x) == l.shape(y)) return {l.e.binary(fn, x.id, y.id), true};
      return make_complex(l, part(real_part), part(imaginary_part));
    }
    default:
      fail(Errc::unsupported, info(fn).name, " of complex numbers is not supported");
  }
}

Array in_type(Lowering& l, Elementwise fn, const Operand& a, const Operand& b, ElementType type) {
  if (type.is_complex) return complex_binary(l, fn, a, b, type);
  const bool is_arithmetic = fn == Elementwise::add || fn == Elementwise::sub ||
                             fn == Elementwise::mul || fn == Elementwise::div;
  if (is_arithmetic && (is_finer(l, a, type.dtype) || is_finer(l, b, type.dtype))) {
    const ValueId wide = l.e.binary(fn, convert(l, a, DType::f32), convert(l, b, DType::f32));
    return {l.e.cast(wide, type.dtype)};
  }
  if (type.dtype == DType::boolean) fn = on_booleans(fn);
  return {l.e.binary(fn, convert(l, a, type.dtype), convert(l, b, type.dtype))};
}

}  // namespace

ElementType common_type(const Lowering& l, std::span<const Operand> operands) {
  std::vector<Typed> types;
  for (const Operand& operand : operands) types.push_back(typed(l, operand));
  return result_type(types);
}

ValueId convert(Lowering& l, const Operand& x, DType dtype) {
  if (x.number) return number_value(l, *x.number, dtype);
  require(!x.array.is_complex, Errc::unsupported, "complex numbers are not supported here");
  return l.e.cast(x.array.id, dtype);
}

Array convert(Lowering& l, const Operand& x, ElementType type) {
  if (!x.number && x.array.is_complex) {
    require(type.is_complex, Errc::unsupported, "complex numbers do not become real ones");
    return {l.e.cast(x.array.id, type.dtype), true};
  }
  const ValueId real = convert(l, x, type.dtype);
  if (!type.is_complex) return {real};
  const ValueId zero = l.e.scalar(0, type.dtype);
  return make_complex(l, real, l.e.expand(zero, l.e.shape(real)));
}

ValueId float_value(Lowering& l, const Number& number) {
  if (number.value != kNone) return number.value;
  if (number.is_constant()) return l.e.scalar(number.as_real(), DType::f64);
  const ValueId whole = l.e.integer(number.integer, DType::f64);
  if (number.kind != Number::Kind::real || number.real == 1) return whole;
  return l.e.with_number(Elementwise::mul, whole, number.real);
}

bool is_small(DType dtype) { return is_float(dtype) && size_of(dtype) < size_of(DType::f32); }

ValueId to_float(Lowering& l, ValueId x) {
  return is_float(l.e.dtype(x)) ? x : l.e.cast(x, DType::f32);
}

ValueId widen(Lowering& l, ValueId x) {
  return is_small(l.e.dtype(x)) ? l.e.cast(x, DType::f32) : x;
}

Array binary(Lowering& l, Elementwise fn, const Operand& a, const Operand& b) {
  const Operand operands[] = {a, b};
  return in_type(l, fn, a, b, common_type(l, operands));
}

Array add(Lowering& l, Elementwise fn, const Operand& a, const Operand& b, const Number& factor) {
  if (factor.is_constant() && factor.as_real() == 1) return binary(l, fn, a, b);
  const Operand operands[] = {a, b};
  const ElementType type = common_type(l, operands);
  if (type.is_complex || !is_small(type.dtype))
    return in_type(l, fn, a, in_type(l, Elementwise::mul, b, factor, type), type);
  const ValueId scaled =
      l.e.binary(Elementwise::mul, convert(l, b, DType::f32), convert(l, factor, DType::f32));
  return {l.e.cast(l.e.binary(fn, convert(l, a, DType::f32), scaled), type.dtype)};
}

Array divide(Lowering& l, const Operand& a, const Operand& b) {
  const Operand operands[] = {a, b};
  return in_type(l, Elementwise::div, a, b, float_type(common_type(l, operands)));
}

ValueId compare(Lowering& l, Elementwise fn, const Operand& a, const Operand& b) {
  return binary(l, fn, a, b).id;
}

ValueId power(Lowering& l, const Operand& x, const Operand& exponent) {
  const Operand operands[] = {x, exponent};
  const DType type = common_type(l, operands).dtype;
  const ValueId base = convert(l, x, type);
  if (exponent.number && exponent.number->is_constant() && type != DType::boolean) {
    const double number = exponent.number->as_real();
    const auto times = [&](ValueId a) { return l.e.binary(Elementwise::mul, a, base); };
    if (number == 1) return base;
    if (number == 2) return times(base);
    if (number == 3) return times(times(base));
    if (number == 0.5 && is_float(type)) return l.e.unary(Elementwise::sqrt, base);
    if (number == -0.5 && is_float(type)) return l.e.unary(Elementwise::rsqrt, base);
    if (number == -1 && is_float(type)) return l.e.unary(Elementwise::reciprocal, base);
  }
  return l.e.binary(Elementwise::pow, base, convert(l, exponent, type));
}

ValueId bound_in(Lowering& l, const Operand& bound, DType dtype) {
  const bool is_below = dtype == DType::u8 && bound.number && bound.number->is_constant() &&
                        bound.number->as_real() < 0;
  return convert(l, is_below ? Operand(Number::of_dim(0)) : bound, dtype);
}

ValueId to_boolean(Lowering& l, ValueId x) { return l.e.cast(x, DType::boolean); }

ValueId real_part(Lowering& l, Array x) { return l.e.select(x.id, l.rank(x), 0); }

ValueId imaginary_part(Lowering& l, Array x) { return l.e.select(x.id, l.rank(x), 1); }

Array make_complex(Lowering& l, ValueId real, ValueId imaginary) {
  return {l.e.stack({real, imaginary}, l.e.rank(real)), true};
}

}  // namespace tutti::pt2
