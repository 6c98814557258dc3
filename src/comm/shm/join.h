// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/gloo/options.h"
#include "comm/shm/rendezvous.h"
#include "comm/shm/shm_transport.h"
#include "tutti/communicator.h"

namespace tutti::comm {

/// How a group is made and how long its ranks wait.
struct GroupOptions {
  double join_deadline_s = 30;  ///< for all ranks to come
  double deadline_s = 30;       ///< for each wait afterwards
  ShmOptions shm;
  TcpOptions tcp;
};

/// Joins the group `name` of ranks of one machine as number `rank` of `size`; `meeting` is
/// meet_in_process(), shared by the threads, or meet_on_host(). A name belongs to one group at a
/// time. Throws what Rendezvous::join does; nothing is left behind then.
Communicator join_group(const std::shared_ptr<Rendezvous>& meeting, const std::string& name,
                        int rank, int size, const GroupOptions& options = {});

}  // namespace tutti::comm
