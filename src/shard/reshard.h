// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "ir/graph.h"
#include "shard/placement.h"
#include "tutti/communicator.h"

namespace tutti::shard {

/// Adds to one rank's function what turns its part of a value into another part: slices where the
/// rank holds what it needs, the collective that moves least where it does not.
///
/// All ranks add the same collectives in the same order, each to its own function. What is sent
/// is what the two tables ask for.
class Resharder {
 public:
  Resharder(Function& local, const Mesh& mesh, int rank) : f_(local), mesh_(mesh), rank_(rank) {}

  /// x is this rank's part of a value of this shape under `from`; the result under `to`. What ranks
  /// have of a partial value is reduced as said.
  ValueId reshard(ValueId x, const Dims& shape, Placement from, const Placement& to,
                  const std::string& scope, comm::Reduce reduce = comm::Reduce::sum);

  /// The indices at `positions` of a dimension, in this order.
  ValueId take(ValueId x, int dim, const Ranges& positions, const std::string& scope);

  /// What rows and keys at these positions need of attention's mask, which may broadcast.
  ValueId take_mask(ValueId mask, const Ranges& rows, const Ranges& keys, const std::string& scope);

 private:
  ValueId reduced(ValueId x, const Dims& shape, Placement& from, const Placement& to,
                  const std::string& scope, comm::Reduce reduce);
  ValueId gather_evenly(ValueId x, const Dims& shape, Placement& from, const Placement& to, int dim,
                        const std::string& scope);
  ValueId exchange(ValueId x, const Dims& shape, Placement& from, const Placement& to,
                   const std::string& scope);
  std::map<int, ValueId> joined(const std::map<int, ValueId>& parts, const Dims& shape,
                                const Placement& from, const Placement& to, int dim, AxisSet along,
                                const std::string& scope);
  ValueId slice(ValueId x, const Dims& shape, const Placement& from, const Placement& to,
                const std::string& scope);
  std::vector<int> missing_dims(const Dims& shape, const Placement& from,
                                const Placement& to) const;
  bool may_gather_alone(const Dims& shape, const Placement& from, const Placement& to,
                        int dim) const;
  ValueId add(Op op, std::vector<ValueId> in, const std::string& scope) {
    return f_.add1(std::move(op), std::move(in), "", scope);
  }

  Function& f_;
  const Mesh& mesh_;
  int rank_;
};

/// Elements that ranks need and do not hold, summed over ranks, when a value goes from one
/// placement to another; a sum counts as its collectives do.
int64_t moved_elements(const Dims& shape, const Placement& from, const Placement& to,
                       const Mesh& mesh);

}  // namespace tutti::shard
