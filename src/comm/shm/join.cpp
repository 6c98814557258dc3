// SPDX-License-Identifier: Apache-2.0
#include "comm/shm/join.h"

namespace tutti::comm {

Communicator join_group(const std::shared_ptr<Rendezvous>& meeting, const std::string& name,
                        int rank, int size, const GroupOptions& options) {
  Communicator group(
      ShmTransport::join(meeting, name, rank, size, options.join_deadline_s, options.shm), name);
  group.set_deadline(options.deadline_s);
  return group;
}

}  // namespace tutti::comm
