// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/process_group.h"

namespace tutti::cli {

/// Ranks of a job on one host: more is a mistake.
inline constexpr int kMostRanks = 1024;

/// Where ranks of a job are.
struct Placement {
  int ranks_per_host = 1;
  int hosts = 1;
  int host = 0;  ///< the number of this one
  std::string master_host = "127.0.0.1";
  int master_port = 0;  ///< 0: a free one; must be given for several hosts
};

/// The program as each rank of this host is to start it: with the job in its environment, a secret
/// for it, and OMP_NUM_THREADS and OMP_WAIT_POLICY that suit ranks sharing the cores, unless they
/// are set. `settings` are "NAME=value". Throws UsageError for several hosts without a secret.
std::vector<RankProgram> rank_programs(const Placement& placement,
                                       const std::vector<std::string>& words,
                                       const std::vector<std::string>& settings);

/// Cores that this process may use, for each of so many ranks; at least 1.
int cores_per_rank(int ranks);

/// The value of a variable of this process; empty when it is not set.
std::string variable(const char* name);

}  // namespace tutti::cli
