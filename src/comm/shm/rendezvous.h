// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "comm/arrival.h"
#include "comm/shm/group.h"

namespace tutti::comm {

/// Where ranks of a new group meet. Each of `layout.size` ranks calls join with the same name.
class Rendezvous {
 public:
  virtual ~Rendezvous() = default;

  /// Returns when all have come. Throws timeout that names who is missing, invalid_argument for
  /// ranks that disagree on size or layout or have one number; all who came get the same error.
  virtual Membership join(const Arrival& arrival) = 0;
};

/// Threads of this process that share the object.
std::shared_ptr<Rendezvous> meet_in_process();

/// Processes of one user on this machine (of one network namespace). Rank 0 listens on a name that
/// is no file; nothing is left behind, whoever dies.
std::shared_ptr<Rendezvous> meet_on_host();

}  // namespace tutti::comm
