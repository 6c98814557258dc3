// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "comm/shm/group.h"

namespace tutti::comm {

/// What a rank says when it comes to a meeting.
struct Arrival {
  std::string name;  ///< of the group
  int rank = 0;      ///< in it
  Layout layout;
  double timeout_s = 30;
  std::vector<int> outer_ranks = {};      ///< of all ranks, as texts show them; empty: as they are
  std::function<void()> look_about = {};  ///< called now and then; what it throws ends the wait
};

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

/// Texts that every kind of meeting uses.
std::string missing_text(const Arrival& arrival, const std::vector<bool>& came);
std::string size_text(const Arrival& arrival, const Layout& wanted);
std::string twice_text(const Arrival& arrival);
std::string gone_text(const Arrival& arrival, int r);
/// The number of rank r that people see.
int shown(const Arrival& arrival, int r);

/// Nanoseconds between calls of Arrival::look_about.
inline constexpr int64_t kLookNs = 50'000'000;

}  // namespace tutti::comm
