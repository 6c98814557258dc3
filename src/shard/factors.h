// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/op.h"

namespace tutti::shard {

/// What the dimensions of an operator's operands and results have to do with each other: those of
/// one factor are split alike.
struct Factors {
  struct Factor {
    int64_t extent = 1;
    bool whole = false;      ///< may not be split
    bool in_result = false;  ///< else it is summed over, and a split leaves a partial sum
  };
  /// No factor: a dimension of extent 1 that is broadcast.
  static constexpr int kBroadcast = -1;

  std::vector<Factor> list;
  std::vector<std::vector<int>> in, out;  ///< by operand or result, by dimension
  std::vector<bool> addend;               ///< by operand: added once, after a sum over ranks
};

/// The factors of an operator with these operands, all of them concrete; nothing for reshape,
/// slice and concat, whose dimensions are related in other ways, and for operators that ranks
/// run as they are, on whole operands.
std::optional<Factors> factors(const Op& op, std::span<const TensorType> in,
                               std::span<const TensorType> out);

/// Whether the operator has a rule of its own beside factors.
bool has_own_rule(const Op& op);

}  // namespace tutti::shard
