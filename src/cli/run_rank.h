// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// What `tutti run` does on one rank, with so many computing threads (0: all cores). Gives the exit
/// code. Rank 0 prints, and writes what is not named by rank; others print only a comparison that
/// fails.
int run_rank(const Arguments& arguments, Communicator& ranks, int threads);

}  // namespace tutti::cli
