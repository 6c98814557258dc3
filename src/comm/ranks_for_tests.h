// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "comm/shm/join.h"
#include "core/error.h"

// Ranks for tests: as threads or as forked processes, none of which outlives its test.
namespace tutti::comm {

enum class Place { threads, processes };

inline std::string to_string(Place place) {
  return place == Place::threads ? "threads" : "processes";
}

/// How a rank ended: with nothing, an error, or a signal.
struct Outcome {
  bool ended = false;  // false: a signal, or nothing within the time limit
  std::string error;   // empty when the body returned
  Errc code = Errc::internal;
  double seconds = 0;
};

inline void expect(bool condition, const std::string& text) {
  if (!condition) throw std::runtime_error(text);
}

/// Runs body and says how it ended.
template <class F>
Outcome outcome_of(const F& body) {
  Outcome outcome;
  const int64_t start = now_ns();
  try {
    body();
  } catch (const Error& error) {
    outcome.code = error.code();
    outcome.error = error.what();
  } catch (const std::exception& error) {
    outcome.error = error.what();
  }
  outcome.ended = true;
  outcome.seconds = static_cast<double>(now_ns() - start) * 1e-9;
  return outcome;
}

/// Names that fresh_name gave.
inline std::vector<std::string>& given_names() {
  static std::vector<std::string> names;
  return names;
}

/// A name that no other group has.
inline std::string fresh_name() {
  given_names().push_back(join("test.", getpid(), ".", given_names().size()));
  return given_names().back();
}

/// Forks a process for each rank, which runs body(rank) and tells its outcome. What has not ended
/// after limit_s is killed. `watch` runs meanwhile with the processes' ids.
inline std::vector<Outcome> fork_ranks(int size, double limit_s,
                                       const std::function<void(int)>& body,
                                       const std::function<void(std::vector<pid_t>&)>& watch = {}) {
  struct Message {
    char error[1500];
    int code;
    double seconds;
  };
  std::vector<pid_t> ids;
  std::vector<Fd> pipes;
  const pid_t parent = getpid();
  for (int r = 0; r < size; ++r) {
    int ends[2];
    require(pipe(ends) == 0, Errc::io, "pipe");
    const pid_t id = fork();
    if (id == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      const Outcome outcome = outcome_of([&] { body(r); });
      Message message{};
      outcome.error.copy(message.error, sizeof message.error - 1);
      message.code = static_cast<int>(outcome.code);
      message.seconds = outcome.seconds;
      _exit(write(ends[1], &message, sizeof message) == sizeof message ? 0 : 1);
    }
    close(ends[1]);
    ids.push_back(id);
    pipes.emplace_back(ends[0]);
  }
  if (watch) watch(ids);
  std::vector<Outcome> outcomes(static_cast<size_t>(size));
  const int64_t until = now_ns() + static_cast<int64_t>(limit_s * 1e9);
  for (size_t r = 0; r < ids.size(); ++r) {
    pollfd p{pipes[r].get(), POLLIN, 0};
    const auto ms = std::max<int64_t>((until - now_ns()) / 1'000'000, 0);
    Message message;
    if (poll(&p, 1, static_cast<int>(ms)) == 1 &&
        read(p.fd, &message, sizeof message) == sizeof message) {
      outcomes[r] = {true, message.error, static_cast<Errc>(message.code), message.seconds};
    }
  }
  for (pid_t id : ids) kill(id, SIGKILL);
  for (pid_t id : ids) waitpid(id, nullptr, 0);
  return outcomes;
}

/// Runs body on `size` ranks of a new group.
inline std::vector<Outcome> run_ranks(Place place, int size, const GroupOptions& options,
                                      const std::function<void(Communicator&)>& body) {
  const std::string name = fresh_name();
  if (place == Place::processes) {
    return fork_ranks(size, 60, [&](int r) {
      Communicator group = join_group(meet_on_host(), name, r, size, options);
      body(group);
    });
  }
  const auto hub = meet_in_process();
  std::vector<Outcome> outcomes(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      outcomes[static_cast<size_t>(r)] = outcome_of([&] {
        Communicator group = join_group(hub, name, r, size, options);
        body(group);
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

/// What groups of this test may have left on the machine: files in /dev/shm, sockets.
inline std::string leftovers() {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (entry.path().filename().string().find("tutti") != std::string::npos)
      found += entry.path().string() + "\n";
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);)
    for (const std::string& name : given_names())
      if (line.find(join("@tutti.", geteuid(), ".", hash_label(name))) != std::string::npos)
        found += line + "\n";
  return found;
}

}  // namespace tutti::comm
