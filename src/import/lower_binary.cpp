// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "import/arithmetic.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

ValueId times(Lowering& l, ValueId x, ValueId y) { return l.e.binary(Fn::mul, x, y); }

template <Fn fn>
Results promoted(Lowering& l, const Args& a) {
  return binary(l, fn, a.operand("self"), a.operand("other"));
}

// As promoted, in floats.
template <Fn fn>
Results promoted_float(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = float_type(common_type(l, operands)).dtype;
  return l.e.binary(fn, convert(l, operands[0], type), convert(l, operands[1], type));
}

template <Fn fn>
Results sum(Lowering& l, const Args& a) {
  return add(l, fn, a.operand("self"), a.operand("other"), a.number("alpha"));
}

Results reversed_difference(Lowering& l, const Args& a) {
  return add(l, Fn::sub, a.operand("other"), a.operand("self"), a.number("alpha"));
}

Results quotient(Lowering& l, const Args& a) {
  const Operand x = a.operand("self"), y = a.operand("other");
  if (!a.has("rounding_mode")) return divide(l, x, y);
  const std::string& mode = a.text("rounding_mode");
  return binary(l, mode == "floor" ? Fn::div_floor : Fn::div_trunc, x, y);
}

Results powered(Lowering& l, const Args& a) {
  return power(l, a.operand("self"), a.operand("exponent"));
}

// In f64, whatever the operands are.
Results float_power(Lowering& l, const Args& a) {
  const auto wide = [&](std::string_view name) {
    return Operand(convert(l, a.operand(name), DType::f64));
  };
  return power(l, wide("self"), wide("exponent"));
}

template <Fn fn>
Results compared(Lowering& l, const Args& a) {
  return compare(l, fn, a.operand("self"), a.operand("other"));
}

template <Fn fn>
Results logical(Lowering& l, const Args& a) {
  return l.e.binary(fn, to_boolean(l, a.value("self")), to_boolean(l, a.value("other")));
}

// The larger or smaller of two, the other where one is NaN.
template <Fn fn>
Results extremum_of_numbers(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = common_type(l, operands).dtype;
  const ValueId x = convert(l, operands[0], type), y = convert(l, operands[1], type);
  const ValueId best = l.e.binary(fn, x, y);
  if (!is_float(type)) return best;
  const ValueId without_x = l.e.choose(l.e.unary(Fn::is_nan, x), y, best);
  return l.e.choose(l.e.unary(Fn::is_nan, y), x, without_x);
}

Results clamp_one(Lowering& l, Fn fn, const Operand& x, const Operand& bound) {
  const Operand operands[] = {x, bound};
  const DType type = common_type(l, operands).dtype;
  return l.e.binary(fn, convert(l, x, type), bound_in(l, bound, type));
}

Results clamp(Lowering& l, const Args& a) {
  std::vector<Operand> operands = {a.operand("self")};
  for (std::string_view bound : {"min", "max"})
    if (a.has(bound)) operands.push_back(a.operand(bound));
  const DType type = common_type(l, operands).dtype;
  ValueId x = convert(l, operands[0], type);
  if (a.has("min")) x = l.e.binary(Fn::maximum, x, bound_in(l, a.operand("min"), type));
  if (a.has("max")) x = l.e.binary(Fn::minimum, x, bound_in(l, a.operand("max"), type));
  return x;
}

Results clamp_min(Lowering& l, const Args& a) {
  return clamp_one(l, Fn::maximum, a.operand("self"), a.operand("min"));
}

Results clamp_max(Lowering& l, const Args& a) {
  return clamp_one(l, Fn::minimum, a.operand("self"), a.operand("max"));
}

Results where(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const ElementType type = common_type(l, operands);
  const ValueId condition = to_boolean(l, a.value("condition"));
  const auto choose = [&](ValueId x, ValueId y) { return l.e.choose(condition, x, y); };
  const Array x = convert(l, operands[0], type), y = convert(l, operands[1], type);
  if (!type.is_complex) return choose(x.id, y.id);
  return make_complex(l, choose(real_part(l, x), real_part(l, y)),
                      choose(imaginary_part(l, x), imaginary_part(l, y)));
}

Results lerp(Lowering& l, const Args& a) {
  const ValueId start = a.value("self"), end = a.value("end");
  const DType type = l.e.dtype(start);
  const ValueId x = widen(l, start), y = widen(l, end);
  const ValueId weight = convert(l, a.operand("weight"), l.e.dtype(x));
  const ValueId distance = l.e.binary(Fn::sub, y, x);
  return l.e.cast(l.e.binary(Fn::add, x, times(l, weight, distance)), type);
}

// self + value * tensor1 (* or /) tensor2
template <Fn fn>
Results add_combined(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("tensor1"), a.operand("tensor2")};
  const DType type = common_type(l, operands).dtype;
  const DType wide = is_small(type) ? DType::f32 : type;
  const auto take = [&](const Operand& x) {
    return convert(l, Operand(convert(l, x, type)), wide);
  };
  ValueId scaled = take(operands[1]);
  const Number& value = a.number("value");
  if (!(value.is_constant() && value.as_real() == 1))
    scaled = times(l, convert(l, value, wide), scaled);
  const ValueId combined = l.e.binary(fn, scaled, take(operands[2]));
  return l.e.cast(l.e.binary(Fn::add, take(operands[0]), combined), type);
}

Results x_log_y(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = float_type(common_type(l, operands)).dtype;
  const ValueId x = convert(l, operands[0], type), y = convert(l, operands[1], type);
  const ValueId product = times(l, x, l.e.unary(Fn::log, y));
  const ValueId zero = l.e.scalar(0, type);
  const ValueId value = l.e.choose(l.e.binary(Fn::equal, x, zero), zero, product);
  return l.e.choose(l.e.unary(Fn::is_nan, y), y, value);
}

// log(exp(x) + exp(y)) from the larger of the two on.
Results log_add_exp(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = float_type(common_type(l, operands)).dtype;
  const DType wide = is_small(type) ? DType::f32 : type;
  const ValueId x = convert(l, operands[0], wide), y = convert(l, operands[1], wide);
  const ValueId largest = l.e.binary(Fn::maximum, x, y);
  const ValueId distance = l.e.unary(Fn::abs, l.e.binary(Fn::sub, x, y));
  const ValueId rest = l.e.unary(Fn::log1p, l.e.unary(Fn::exp, l.e.unary(Fn::neg, distance)));
  const ValueId equal = l.e.binary(Fn::equal, x, y);
  const ValueId twice = l.e.with_number(Fn::add, x, std::log(2.0));
  return l.e.cast(l.e.choose(equal, twice, l.e.binary(Fn::add, largest, rest)), type);
}

Results hypotenuse(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = common_type(l, operands).dtype;
  const ValueId x = widen(l, convert(l, operands[0], type));
  const ValueId y = widen(l, convert(l, operands[1], type));
  const ValueId sum = l.e.binary(Fn::add, times(l, x, x), times(l, y, y));
  return l.e.cast(l.e.unary(Fn::sqrt, sum), type);
}

Results is_close(Lowering& l, const Args& a) {
  const ValueId x = to_float(l, a.value("self")), y = to_float(l, a.value("other"));
  const ValueId distance = l.e.unary(Fn::abs, l.e.binary(Fn::sub, x, y));
  const ValueId margin = l.e.with_number(
      Fn::add, l.e.with_number(Fn::mul, l.e.unary(Fn::abs, y), a.real("rtol")), a.real("atol"));
  const ValueId near = l.e.binary(Fn::logical_and, l.e.unary(Fn::is_finite, distance),
                                  l.e.binary(Fn::less_equal, distance, margin));
  ValueId same = l.e.binary(Fn::logical_or, l.e.binary(Fn::equal, x, y), near);
  if (a.flag("equal_nan"))
    same =
        l.e.binary(Fn::logical_or, same,
                   l.e.binary(Fn::logical_and, l.e.unary(Fn::is_nan, x), l.e.unary(Fn::is_nan, y)));
  return same;
}

// The size of one with the sign of the other, that of zeros included.
Results copy_sign(Lowering& l, const Args& a) {
  const Operand operands[] = {a.operand("self"), a.operand("other")};
  const DType type = float_type(common_type(l, operands)).dtype;
  const ValueId size = l.e.unary(Fn::abs, convert(l, operands[0], type));
  const ValueId sign = convert(l, operands[1], type);
  const ValueId below = l.e.with_number(Fn::less, sign, 0);
  const ValueId inverse_below = l.e.with_number(Fn::less, l.e.unary(Fn::reciprocal, sign), 0);
  const ValueId is_negative = l.e.binary(Fn::logical_or, below, inverse_below);
  return l.e.choose(is_negative, l.e.unary(Fn::neg, size), size);
}

constexpr Row kRows[] = {
    {"add.Tensor add.Scalar", "self, other, alpha=1", sum<Fn::add>},
    {"sub.Tensor sub.Scalar subtract.Tensor subtract.Scalar", "self, other, alpha=1", sum<Fn::sub>},
    {"rsub.Tensor rsub.Scalar", "self, other, alpha=1", reversed_difference},
    {"mul.Tensor mul.Scalar multiply.Tensor multiply.Scalar", "self, other", promoted<Fn::mul>},
    {"div.Tensor div.Scalar div.Tensor_mode div.Scalar_mode divide.Tensor divide.Scalar "
     "divide.Tensor_mode divide.Scalar_mode true_divide.Tensor true_divide.Scalar",
     "self, other, rounding_mode=None", quotient},
    {"floor_divide floor_divide.Tensor floor_divide.Scalar", "self, other",
     promoted<Fn::div_floor>},
    {"remainder.Tensor remainder.Scalar remainder.Scalar_Tensor", "self, other",
     promoted<Fn::remainder>},
    {"fmod.Tensor fmod.Scalar", "self, other", promoted<Fn::fmod>},
    {"pow.Tensor_Tensor pow.Tensor_Scalar pow.Scalar pow.Tensor", "self, exponent", powered},
    {"float_power.Tensor_Tensor float_power.Tensor_Scalar float_power.Scalar float_power.Tensor",
     "self, exponent", float_power},
    {"maximum max.other", "self, other", promoted<Fn::maximum>},
    {"minimum min.other", "self, other", promoted<Fn::minimum>},
    {"fmax", "self, other", extremum_of_numbers<Fn::maximum>},
    {"fmin", "self, other", extremum_of_numbers<Fn::minimum>},
    {"atan2 arctan2", "self, other", promoted_float<Fn::atan2>},
    {"bitwise_and.Tensor bitwise_and.Scalar bitwise_and.Scalar_Tensor __and__.Tensor "
     "__and__.Scalar",
     "self, other", promoted<Fn::bitwise_and>},
    {"bitwise_or.Tensor bitwise_or.Scalar bitwise_or.Scalar_Tensor __or__.Tensor __or__.Scalar",
     "self, other", promoted<Fn::bitwise_or>},
    {"bitwise_xor.Tensor bitwise_xor.Scalar bitwise_xor.Scalar_Tensor __xor__.Tensor "
     "__xor__.Scalar",
     "self, other", promoted<Fn::bitwise_xor>},
    {"bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar "
     "bitwise_left_shift.Scalar_Tensor __lshift__.Tensor "
     "__lshift__.Scalar",
     "self, other", promoted<Fn::shift_left>},
    {"bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar "
     "bitwise_right_shift.Scalar_Tensor __rshift__.Tensor "
     "__rshift__.Scalar",
     "self, other", promoted<Fn::shift_right>},
    {"logical_and", "self, other", logical<Fn::logical_and>},
    {"logical_or", "self, other", logical<Fn::logical_or>},
    {"logical_xor", "self, other", logical<Fn::logical_xor>},
    {"eq.Tensor eq.Scalar", "self, other", compared<Fn::equal>},
    {"ne.Tensor ne.Scalar not_equal.Tensor not_equal.Scalar", "self, other",
     compared<Fn::not_equal>},
    {"lt.Tensor lt.Scalar less.Tensor less.Scalar", "self, other", compared<Fn::less>},
    {"le.Tensor le.Scalar less_equal.Tensor less_equal.Scalar", "self, other",
     compared<Fn::less_equal>},
    {"gt.Tensor gt.Scalar greater.Tensor greater.Scalar", "self, other", compared<Fn::greater>},
    {"ge.Tensor ge.Scalar greater_equal.Tensor greater_equal.Scalar", "self, other",
     compared<Fn::greater_equal>},
    {"isclose", "self, other, rtol=1e-05, atol=1e-08, equal_nan=False", is_close},
    {"clamp clamp.Tensor clip clip.Tensor", "self, min=None, max=None", clamp},
    {"clamp_min clamp_min.Tensor", "self, min", clamp_min},
    {"clamp_max clamp_max.Tensor", "self, max", clamp_max},
    {"where.self where.ScalarSelf where.ScalarOther where.Scalar", "condition, self, other", where},
    {"lerp.Tensor lerp.Scalar", "self, end, weight", lerp},
    {"addcmul", "self, tensor1, tensor2, value=1", add_combined<Fn::mul>},
    {"addcdiv", "self, tensor1, tensor2, value=1", add_combined<Fn::div>},
    {"xlogy.Tensor xlogy.Scalar_Other xlogy.Scalar_Self special_xlogy", "self, other", x_log_y},
    {"logaddexp", "self, other", log_add_exp},
    {"copysign.Tensor copysign.Scalar", "self, other", copy_sign},
    {"hypot", "self, other", hypotenuse},
};

}  // namespace

std::span<const Row> binary_rows() { return kRows; }

}  // namespace tutti::pt2
