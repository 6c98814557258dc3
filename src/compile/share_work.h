// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compile/pass.h"
#include "shard/shard.h"

namespace tutti {

/// What the ranks of a program's mesh agree on: the network, and where its values are.
struct SharedWork {
  Function network;
  shard::Ways ways;
  shard::Placements placements;
};

/// Decides it, and where the program's state is, unless an earlier plan did.
SharedWork share_work(Program& program, Function network);

/// The part of rank options.rank, with the collectives it takes part in.
Compilation part_of(const SharedWork& work, Program& program, const CompileOptions& options);

}  // namespace tutti
