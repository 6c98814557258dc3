// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "import/pt2_types.h"

namespace tutti::pt2 {

/// What an operand is to PyTorch's rules of promotion: a tensor with extents outweighs one without,
/// which outweighs a Python number, unless the other is of a higher category (boolean, integer,
/// float, complex).
enum class Weight { number, scalar_tensor, tensor };

struct Typed {
  ElementType type;
  Weight weight = Weight::tensor;
};

/// The type that holds the values of both; torch.promote_types.
ElementType promote(ElementType a, ElementType b);

/// The type in which PyTorch computes with these operands; torch.result_type.
ElementType result_type(std::span<const Typed> operands);

/// f32 for integers and booleans, else the type itself.
ElementType float_type(ElementType type);

bool operator==(const ElementType& a, const ElementType& b);

}  // namespace tutti::pt2
