// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/job/environment.h"
#include "tutti/communicator.h"

namespace tutti::comm {

/// join_job for a rank that this environment describes. `occasion` counts the calls of a process:
/// ranks meet those of the same occasion.
Communicator join_as(const JobEnvironment& job, const JoinOptions& options, int occasion);

}  // namespace tutti::comm
