// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "import/lowering.h"
#include "import/promotion.h"

namespace tutti::pt2 {

// Arithmetic with PyTorch's promotion of types, on values of the graph.

/// The type in which PyTorch computes with these operands.
ElementType common_type(const Lowering& l, std::span<const Operand> operands);

/// The operand in that type: a number becomes a value without extents.
Array convert(Lowering& l, const Operand& x, ElementType type);
/// As convert, for real types.
ValueId convert(Lowering& l, const Operand& x, DType dtype);

/// The number as f64 without extents.
ValueId float_value(Lowering& l, const Number& number);

/// The value itself when it is of floats, else in f32.
ValueId to_float(Lowering& l, ValueId x);
/// f32 for f16 and bf16, else the value itself: what PyTorch computes in inside one operator.
ValueId widen(Lowering& l, ValueId x);
/// True for f16, bf16 and the f8 types.
bool is_small(DType dtype);

/// fn of two operands in their common type.
Array binary(Lowering& l, Elementwise fn, const Operand& a, const Operand& b);
/// a + factor * b, and its like: add, sub.
Array add(Lowering& l, Elementwise fn, const Operand& a, const Operand& b, const Number& factor);
/// a / b in floats.
Array divide(Lowering& l, const Operand& a, const Operand& b);
/// fn of two operands in their common type, as a boolean.
ValueId compare(Lowering& l, Elementwise fn, const Operand& a, const Operand& b);
/// x to the power of a number or tensor.
ValueId power(Lowering& l, const Operand& x, const Operand& exponent);

/// As convert, but a constant below what an unsigned type holds becomes 0 instead of wrapping.
ValueId bound_in(Lowering& l, const Operand& bound, DType dtype);

/// Boolean: x is not zero.
ValueId to_boolean(Lowering& l, ValueId x);

/// Real and imaginary part of a complex value, and back.
ValueId real_part(Lowering& l, Array x);
ValueId imaginary_part(Lowering& l, Array x);
Array make_complex(Lowering& l, ValueId real, ValueId imaginary);

}  // namespace tutti::pt2
