// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/type.h"
#include "shard/placement.h"

namespace tutti::shard {

/// The tables of a reshape's result from those of its operand, by dimension; nothing when the
/// operand's local elements are no block of the result. Reshapes back by exchanging the shapes.
std::optional<std::vector<std::optional<Table>>> reshape_tables(
    const Dims& from, const std::vector<std::optional<Table>>& tables, const Dims& to,
    const Mesh& mesh);

}  // namespace tutti::shard
