// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/spawn.h"

namespace tutti::cli {

/// A process that kills process groups should this process vanish, even by SIGKILL: then the kernel
/// kills its children, but not theirs. Made while the process has one thread.
class Guard {
 public:
  Guard();
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  void watch(pid_t group);
  void forget(pid_t group);
  pid_t process() const { return process_; }

 private:
  void tell(pid_t message);

  Descriptor line_;
  pid_t process_ = -1;
};

}  // namespace tutti::cli
