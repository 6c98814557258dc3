// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace tutti {

/// How a network is compiled.
struct CompileOptions {
  bool fuse = true;    ///< off: every operator is a step of its own
  std::string matmul;  ///< auto (also ""), own, onednn or plain products, convolutions too
  int threads = 1;     ///< that the plan is tuned for; any number runs it
  std::vector<std::string> held;  ///< inputs that rarely change
  int rank = 0;                   ///< whose plan is made, of a program that ranks share
};

/// Compiles function `run` of the program's graph for these symbol values, a plan for each rank.
///
/// May add derived residents and their computation to the graph's function `init`; existing ones
/// are shared with the plans made before. Throws what inference throws, and unsupported for an
/// implementation that this build lacks.
std::vector<Plan> compile_plans(Program& program, const SymbolValues& symbols,
                                CompileOptions options, const std::vector<int>& ranks);
/// The plan of one rank, options.rank.
Plan compile_plan(Program& program, const SymbolValues& symbols, const CompileOptions& options);

/// Function `run` as it is shared out among ranks: simplified, for these symbol values.
Function function_to_shard(const Program& program, const SymbolValues& symbols,
                           const CompileOptions& options);

/// Runs `init` for the derived residents that have no bytes yet. Throws not_found naming a weight
/// that it needs and that has none.
void compute_derived(Program& program);

/// Weights without bytes that plans read, or `init` for what has no bytes yet; without any plan all
/// that have none. An engine read from a file may lack weights whose derived forms it has.
std::vector<std::string> missing_weights(const Program& program);

}  // namespace tutti
