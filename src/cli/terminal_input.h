// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/spawn.h"

namespace tutti::cli {

/// The standard input of this process, for a child in another process group. A file or pipe is the
/// child's as it is; a terminal would stop the child that reads it, so its text is passed on.
class TerminalInput {
 public:
  TerminalInput();

  /// The child's standard input.
  int for_child() const { return pipe_ ? pipe_->read.get() : STDIN_FILENO; }
  /// The child has it: only the child must hold it.
  void started();

  /// What poll should look at, and what it found there.
  void add_to(std::vector<pollfd>& polls) const;
  void move(std::span<const pollfd> polls);

 private:
  std::optional<Pipe> pipe_;
  std::string waiting_;
};

}  // namespace tutti::cli
