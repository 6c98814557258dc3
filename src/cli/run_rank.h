// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/arguments.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// What `tutti run` does on one rank, with so many computing threads (0: all cores), of the mesh of
/// the model or engine, if there is one. Gives the exit code. Rank 0 prints, and writes what is not
/// named by rank or axis; others print only a comparison that fails.
int run_rank(const Arguments& arguments, Communicator& ranks, int threads, const std::string& mesh);

}  // namespace tutti::cli
