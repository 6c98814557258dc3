// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "comm/shm/join.h"
#include "comm/store.h"

namespace tutti::comm {

/// Joins the group `name` as number `rank` of `size`, of processes (or threads) that use one store,
/// over TCP connections to free ports of `address`, by which the other ranks reach this one.
///
/// Ranks with the same host_id are on one host. A `hierarchical` group shares memory between them,
/// and all its ranks must say so. Throws timeout that names who is missing, invalid_argument for
/// ranks that disagree on size or options or have one number, io for an address that is not this
/// host's, unsupported in a build without Gloo. A name belongs to one group at a time.
Communicator join_over_tcp(Store& store, const std::string& name, int rank, int size,
                           const std::string& host_id, const std::string& address,
                           const GroupOptions& options, bool hierarchical);

}  // namespace tutti::comm
