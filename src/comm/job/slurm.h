// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "comm/job/variables.h"

namespace tutti::comm {

/// Whether srun started this process as a task of a step; a shell of sbatch or salloc is none.
bool is_slurm_task(const Variables& variables);

void read_slurm(const Variables& variables, JobEnvironment& job);

/// Slurm's numbers of tasks for each host: "2(x3),1" is 2, 2, 2, 1. Throws invalid_argument that
/// names the variable.
std::vector<int> expand_counts(const std::string& text, const std::string& variable);

/// Slurm's lists of hosts: "n[1-2,07],login" is n1, n2, n07, login. Throws as expand_counts.
std::vector<std::string> expand_hosts(const std::string& text, const std::string& variable);

}  // namespace tutti::comm
