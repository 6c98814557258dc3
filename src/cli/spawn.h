// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace tutti::cli {

/// A file descriptor that is closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// The two ends of a pipe; exec closes both.
struct Pipe {
  Pipe();
  Descriptor read, write;
};

/// A program to start.
struct Program {
  std::vector<std::string> words;        ///< the program and its arguments
  std::vector<std::string> environment;  ///< "NAME=value"
  int input = -1;                        ///< its standard input; below 0: nothing to read
};

/// A program that runs, in a process group of its own whose number is the process's.
struct Running {
  pid_t process = -1;
  Descriptor out, err;  ///< what it prints; reading does not block
};

/// Starts a program, found as a shell finds it. It dies with this thread, and has the signal mask
/// `mask`. Throws UsageError when it cannot be started.
Running spawn(const Program& program, const sigset_t& mask);

/// The file that a shell would run for this word; throws UsageError when there is none.
std::string find_program(const std::string& word);

}  // namespace tutti::cli
