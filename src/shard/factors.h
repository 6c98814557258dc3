// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "tutti/communicator.h"

namespace tutti::shard {

/// What the dimensions of an operator's operands and results have to do with each other: those of
/// one factor are split alike.
struct Factors {
  struct Factor {
    int64_t extent = 1;
    bool whole = false;       ///< may not be split
    bool in_result = false;   ///< else the operator takes it together, and a split leaves addends
    bool decomposes = false;  ///< whole, but may be split once the operator is written out
  };
  /// No factor: a dimension of extent 1 that is broadcast.
  static constexpr int kBroadcast = -1;

  std::vector<Factor> list;
  std::vector<std::vector<int>> in, out;  ///< by operand or result, by dimension
  std::vector<bool> addend;               ///< by operand: added once, after a sum over ranks
  /// What ranks have of parts of a factor that is taken together are no addends of a sum: it is
  /// reduced over ranks at once, in this way.
  std::optional<comm::Reduce> reduced_by;
};

/// The factors of an operator with these operands, all of them concrete; nothing for reshape,
/// slice and concat, whose dimensions are related in other ways, and for operators that ranks
/// run as they are, on whole operands.
std::optional<Factors> factors(const Op& op, std::span<const TensorType> in,
                               std::span<const TensorType> out);

/// Those of a node.
std::optional<Factors> factors(const Function& f, const Node& node);

/// Whether the operator has a rule of its own beside factors.
bool has_own_rule(const Op& op);

/// Why an operator with neither factors nor a rule is run by all ranks as it is, on whole operands;
/// empty for others, and for operators that are made after work is shared.
std::string_view reason_to_run_whole(const Op& op);

}  // namespace tutti::shard
