// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "comm/arrival.h"
#include "comm/fd.h"
#include "comm/store.h"

namespace tutti::comm {

/// The connections of one rank with all others of its group.
struct Links {
  std::vector<Fd> sockets;  ///< of each rank; none for the own one
  std::string secret;       ///< of the group, fresh with each meeting
};

/// Meets the other ranks of the group arrival.name, whose processes use the same store: rank 0
/// listens on a free port of `address` and leaves word in the store; all others listen too, where
/// those above them connect. Who cannot prove to know the secret that lies in the store is turned
/// away. Throws what Rendezvous::join does, the same on all who came; no socket is left then.
Links meet_over_tcp(Store& store, const Arrival& arrival, const std::string& address);

}  // namespace tutti::comm
