// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ops/collectives.h"
#include "plan/plan.h"
#include "tutti/session.h"

namespace tutti::runtime {

/// A collective of a plan, as one rank has it.
struct PlannedCall {
  int32_t list = 0;       ///< whom it is for: which of Manifest::lists
  comm::Collective what;  ///< without label; its counts are those below
  std::vector<int64_t> sends, receives;
  int64_t row = 1;             ///< blocks are of whole rows, of so many elements
  std::vector<int32_t> waits;  ///< calls that the rank waits for between the call before and this
  std::string label;

  /// what with the counts and the label of this call.
  comm::Collective collective() const;
};

/// What a rank tells the others before its engine runs with theirs.
struct Manifest {
  RankGroups groups;                            ///< ranks by name, as given to bind
  std::vector<RankList> lists;                  ///< all that its operators name, each once
  std::vector<std::vector<PlannedCall>> plans;  ///< by plan, in the order they run
};

/// The collectives of a program in the order of its steps.
Manifest manifest_of(const Program& program, const RankGroups& groups);

std::string encode(const Manifest& manifest);
/// Throws corrupt naming `where`.
Manifest decode_manifest(std::span<const std::byte> bytes, const std::string& where);

}  // namespace tutti::runtime
