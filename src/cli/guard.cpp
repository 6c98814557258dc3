// SPDX-License-Identifier: Apache-2.0
#include "cli/guard.h"

#include <errno.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "cli/arguments.h"

namespace tutti::cli {
namespace {

// Numbers of groups come by the pipe, negative when they have ended. Its end is the end of whoever
// holds the other side. System calls only: this follows a fork.
[[noreturn]] void guard(int line, int other_end) {
  setsid();
  close(other_end);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  if (line != 0) dup2(line, 0);
  for (int fd = 1; fd < 1024; ++fd) close(fd);
  std::array<pid_t, 1024> groups;
  size_t count = 0;
  pid_t message;
  for (;;) {
    const ssize_t got = read(0, &message, sizeof message);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof message) break;
    if (message > 0 && count < groups.size()) groups[count++] = message;
    for (size_t i = 0; i < count; ++i)
      if (groups[i] == -message) groups[i] = groups[--count];
  }
  for (size_t i = 0; i < count; ++i) kill(-groups[i], SIGKILL);
  _exit(0);
}

}  // namespace

Guard::Guard() {
  Pipe pipe;
  process_ = fork();
  if (process_ < 0) throw UsageError("cannot start a process");
  if (process_ == 0) guard(pipe.read.get(), pipe.write.get());
  line_ = std::move(pipe.write);
}

Guard::~Guard() {
  line_.reset();
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Guard::watch(pid_t group) { tell(group); }
void Guard::forget(pid_t group) { tell(-group); }

void Guard::tell(pid_t message) {
  while (write(line_.get(), &message, sizeof message) < 0 && errno == EINTR) {
  }
}

}  // namespace tutti::cli
