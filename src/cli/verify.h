// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/rank_arguments.h"

namespace tutti::cli {

/// `tutti run --verify` on one rank: the model once as on one rank, once with the others, and what
/// each layer gives compared in program order. Gives the exit code: 1 for a difference. Rank 0
/// prints the first one, of any rank.
///
/// What layers give is kept in pieces of at most 256 MiB; each piece is a run of its own.
int verify_rank(const RankArguments& arguments, Communicator& ranks);

}  // namespace tutti::cli
