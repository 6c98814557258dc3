// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_input.h"

#include <errno.h>
#include <fcntl.h>

namespace tutti::cli {

TerminalInput::TerminalInput() {
  if (isatty(STDIN_FILENO) == 0) return;
  pipe_.emplace();
  fcntl(pipe_->write.get(), F_SETFL, O_NONBLOCK);
}

void TerminalInput::started() {
  if (pipe_) pipe_->read.reset();
}

void TerminalInput::add_to(std::vector<pollfd>& polls) const {
  if (!pipe_ || pipe_->write.get() < 0) return;
  // In the background, reading the terminal would stop this process.
  const bool wanted = waiting_.empty() && tcgetpgrp(STDIN_FILENO) == getpgrp();
  polls.push_back({wanted ? STDIN_FILENO : -1, POLLIN, 0});
  polls.push_back({waiting_.empty() ? -1 : pipe_->write.get(), POLLOUT, 0});
}

void TerminalInput::move(std::span<const pollfd> polls) {
  if (polls.empty()) return;
  if (polls[0].revents != 0) {
    char buffer[4096];
    const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got > 0) waiting_.assign(buffer, static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) pipe_->write.reset();
  }
  if (polls[1].revents != 0) {
    const ssize_t written = write(pipe_->write.get(), waiting_.data(), waiting_.size());
    if (written > 0) waiting_.erase(0, static_cast<size_t>(written));
    if (written < 0 && errno != EINTR && errno != EAGAIN) pipe_->write.reset();
  }
}

}  // namespace tutti::cli
