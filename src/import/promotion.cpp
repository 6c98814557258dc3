// SPDX-License-Identifier: Apache-2.0
#include "import/promotion.h"

#include <algorithm>

#include "core/error.h"

namespace tutti::pt2 {
namespace {

bool is_f8(DType t) { return t == DType::f8_e4m3 || t == DType::f8_e5m2; }

DType promote_real(DType a, DType b) {
  if (a == b) return a;
  if (is_float(a) && is_float(b)) {
    require(!is_f8(a) && !is_f8(b), Errc::unsupported, "types ", a, " and ", b,
            " have no common type");
    const bool halves = size_of(a) == 2 && size_of(b) == 2;
    if (halves) return DType::f32;
    return size_of(a) > size_of(b) ? a : b;
  }
  if (is_float(a)) return a;
  if (is_float(b)) return b;
  if (a == DType::boolean) return b;
  if (b == DType::boolean) return a;
  if (a == DType::u8 || b == DType::u8) {
    const DType other = a == DType::u8 ? b : a;
    return other == DType::i8 ? DType::i16 : other;
  }
  return size_of(a) > size_of(b) ? a : b;
}

// 0 boolean, 1 integer, 2 float, 3 complex
int category(ElementType t) {
  if (t.is_complex) return 3;
  if (is_float(t.dtype)) return 2;
  return t.dtype == DType::boolean ? 0 : 1;
}

// What `weak` may change about `strong`.
ElementType combine(ElementType strong, ElementType weak) {
  if (category(strong) == 3) return strong;
  if (category(strong) == 2) return category(weak) == 3 ? ElementType{strong.dtype, true} : strong;
  if (category(strong) == 0 || category(weak) >= 2) return promote(strong, weak);
  return strong;
}

}  // namespace

bool operator==(const ElementType& a, const ElementType& b) {
  return a.dtype == b.dtype && a.is_complex == b.is_complex;
}

ElementType promote(ElementType a, ElementType b) {
  return {promote_real(a.dtype, b.dtype), a.is_complex || b.is_complex};
}

ElementType result_type(std::span<const Typed> operands) {
  std::optional<ElementType> result;
  for (const Weight weight : {Weight::number, Weight::scalar_tensor, Weight::tensor}) {
    std::optional<ElementType> level;
    for (const Typed& operand : operands)
      if (operand.weight == weight) level = level ? promote(*level, operand.type) : operand.type;
    if (level) result = result ? combine(*level, *result) : level;
  }
  require(result.has_value(), Errc::internal, "a result type of no operands");
  return *result;
}

ElementType float_type(ElementType type) {
  return is_float(type.dtype) ? type : ElementType{DType::f32, type.is_complex};
}

}  // namespace tutti::pt2
