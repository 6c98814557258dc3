// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "comm/gloo/courier.h"
#include "comm/gloo/hosts.h"

namespace tutti::comm {

/// Collectives of ranks on several hosts in which data go to a host once, not once for each of its
/// ranks; every rank carries its share. A reduction first combines the elements of each host's
/// ranks, in their order, and then these results in the order of hosts, which is that of their
/// first ranks; of small floats they are f32, and the end is rounded once.
///
/// Each rank hands all_reduce and reduce_scatter `kept`, memory that outlives the call and grows.
void all_reduce_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                         const std::byte* in, std::byte* out, std::vector<std::byte>& kept);
void reduce_scatter_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                             const std::byte* in, std::byte* out, std::vector<std::byte>& kept);
void all_gather_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                         const std::byte* in, std::byte* out);

}  // namespace tutti::comm
