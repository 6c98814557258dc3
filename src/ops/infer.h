// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "ir/op.h"

namespace tutti {

// What the infer functions of several operators check. All throw invalid_argument with the name of
// the operand, what it is and what is wanted.

/// Unless there are `least` to `most` operands.
void require_operands(Types in, size_t least, size_t most);

/// Unless the rank is `least` to `most`.
void require_rank(std::string_view name, const TensorType& type, int least,
                  int most = Dims::kMaxRank);

void require_dtype(std::string_view name, const TensorType& type, DType wanted);
/// Unless the element type is a float.
void require_float(std::string_view name, const TensorType& type);
/// Unless the element type is a float or an integer.
void require_number(std::string_view name, const TensorType& type);
/// Unless the element type is i64 or i32.
void require_index(std::string_view name, const TensorType& type);

/// Unless 0 <= axis < rank of `type`.
void require_axis(int64_t axis, std::string_view name, const TensorType& type);
/// Unless the axes ascend and each is one of `type`.
void require_axes(const std::vector<int64_t>& axes, std::string_view name, const TensorType& type);

/// Unless a list of an operator has `size` numbers, each at least `least`.
void require_list(std::string_view name, const std::vector<int64_t>& list, int size, int64_t least);

/// The extent that `wanted` and axis `axis` of `type` share: the constant one of the two, else
/// `wanted`. Throws when both are constant and differ.
Dim same_extent(const Dim& wanted, std::string_view name, const TensorType& type, int axis);

/// `shape` with extents refined by an operand that broadcasts to it; throws when it does not.
Shape broadcast_to(Shape shape, std::string_view name, const TensorType& type);

}  // namespace tutti
