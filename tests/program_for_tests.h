// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

// Programs that tests run and watch.
namespace tutti {

/// How a program ended and what it printed.
struct Ended {
  int code = -1;  ///< 128 + signal for signals
  std::string out, err;
};

/// Becomes true within half a minute.
inline bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return condition();
}

/// False when there is no such process, or when it waits for its parent to ask how it ended.
inline bool is_alive(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text[name_end + 2] != 'Z';
}

/// A program that runs until finish, or until the object ends.
class TestProgram {
 public:
  explicit TestProgram(const std::vector<std::string>& words, const std::string& input = "") {
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    int in[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out_, O_CLOEXEC) != 0 || pipe2(err_, O_CLOEXEC) != 0)
      return;
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(in[0], 0);
      dup2(out_[1], 1);
      dup2(err_[1], 2);
      execvp(pointers[0], pointers.data());
      _exit(127);
    }
    for (int end : {in[0], out_[1], err_[1]}) close(end);
    if (write(in[1], input.data(), input.size()) < 0) ended_.err = "cannot write the input";
    close(in[1]);
  }
  ~TestProgram() {
    if (!reaped_) kill(process_, SIGKILL);
    finish();
    close(out_[0]);
    close(err_[0]);
  }
  TestProgram(const TestProgram&) = delete;
  TestProgram& operator=(const TestProgram&) = delete;

  pid_t process() const { return process_; }
  const Ended& so_far() const { return ended_; }

  /// Reads until the text is there; false when the program ends without it.
  bool prints(const std::string& text) {
    while (ended_.out.find(text) == std::string::npos)
      if (!read_some()) return false;
    return true;
  }

  /// Waits for its end; kills it when that takes longer than a minute.
  const Ended& finish() {
    while (read_some()) {
    }
    if (reaped_) return ended_;
    int status = 0;
    waitpid(process_, &status, 0);
    reaped_ = true;
    ended_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended_;
  }

 private:
  bool read_some() {
    pollfd polls[] = {{out_open_ ? out_[0] : -1, POLLIN, 0}, {err_open_ ? err_[0] : -1, POLLIN, 0}};
    if (!out_open_ && !err_open_) return false;
    if (poll(polls, 2, 60000) <= 0) {
      kill(process_, SIGKILL);
      return false;
    }
    read_one(polls[0], out_open_, ended_.out);
    read_one(polls[1], err_open_, ended_.err);
    return true;
  }
  static void read_one(const pollfd& p, bool& open, std::string& text) {
    char buffer[65536];
    if (p.revents == 0) return;
    const ssize_t got = read(p.fd, buffer, sizeof buffer);
    open = got > 0;
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  }

  pid_t process_ = -1;
  int out_[2] = {-1, -1}, err_[2] = {-1, -1};
  bool out_open_ = true, err_open_ = true, reaped_ = false;
  Ended ended_;
};

inline Ended run_program(const std::vector<std::string>& words, const std::string& input = "") {
  return TestProgram(words, input).finish();
}

/// Its lines in alphabetical order: what ranks print comes in any.
inline std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace tutti
