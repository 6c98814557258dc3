// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "runtime/agreement.h"

namespace tutti::runtime {

/// A program's collectives on the groups of ranks that run them: communicators, and the calls of
/// each plan in the order of its steps.
class Binding {
 public:
  /// A collective ready to run.
  struct Call {
    Communicator* group = nullptr;  ///< null where this rank takes no part, or is alone
    bool alone = false;             ///< a group of one: the result is the operand
    comm::Collective what;          ///< refers to memory of the binding
  };

  /// All ranks of `all` call it at once. Exchanges manifests and compares them, then splits off a
  /// group for each list of ranks. Waits build_deadline_s for ranks to come.
  /// Throws the same Error on all ranks: what agree does, and what Communicator::run does.
  Binding(Communicator& all, const Program& program, const RankGroups& groups,
          double build_deadline_s);

  /// The calls of a plan.
  std::vector<Call>& calls(size_t plan) { return calls_[plan]; }
  /// This rank's position in a list of ranks of the program; 0 in none.
  int64_t position(const RankList& list) const;
  uint64_t bytes_sent() const;
  /// The last collectives of all ranks in each group, for people.
  std::string history() const;
  /// Ends all groups on all ranks.
  void abort_groups(const std::string& reason);

 private:
  void make_groups(Communicator& all, const Agreement& agreement);
  void make_calls(const Agreement& agreement, int rank);

  int rank_;
  Manifest manifest_;
  std::vector<std::vector<int>> members_;            // by list
  std::map<std::vector<int>, Communicator> groups_;  // those that this rank is in
  std::vector<std::vector<Call>> calls_;
};

}  // namespace tutti::runtime
