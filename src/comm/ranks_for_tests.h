// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "comm/deadline.h"
#include "comm/gloo/join.h"
#include "comm/gloo/wire.h"
#include "comm/store/tcp_store.h"
#include "core/error.h"

// Ranks for tests: as threads or as forked processes, none of which outlives its test.
namespace tutti::comm {

/// What ranks are, and what connects them.
enum class Place {
  threads,        // of this process, by its memory
  processes,      // of this machine, by shared memory
  tcp_threads,    // by TCP
  tcp_processes,  //
  tcp_hosts       // processes on hosts of their own, as they say: memory within, TCP between
};

inline std::string to_string(Place place) {
  constexpr const char* kNames[] = {"threads", "processes", "tcp_threads", "tcp_processes",
                                    "tcp_hosts"};
  return kNames[static_cast<int>(place)];
}
inline bool are_threads(Place place) {
  return place == Place::threads || place == Place::tcp_threads;
}
inline bool are_tcp(Place place) { return place >= Place::tcp_threads; }

/// Those that this build has.
inline std::vector<Place> built(std::vector<Place> places) {
  if (!has_gloo()) std::erase_if(places, are_tcp);
  return places;
}
inline auto all_places() {
  return testing::ValuesIn(built({Place::threads, Place::processes, Place::tcp_threads,
                                  Place::tcp_processes, Place::tcp_hosts}));
}
inline auto process_places() {
  return testing::ValuesIn(built({Place::processes, Place::tcp_processes, Place::tcp_hosts}));
}
/// For suites of a place, and of a place and a number of ranks.
struct PlaceName {
  std::string operator()(const testing::TestParamInfo<Place>& info) const {
    return to_string(info.param);
  }
  std::string operator()(const testing::TestParamInfo<std::tuple<Place, int>>& info) const {
    return to_string(std::get<0>(info.param)) + std::to_string(std::get<1>(info.param));
  }
};
inline auto all_places_and_sizes() {
  return testing::Combine(all_places(), testing::Values(1, 2, 3, 4, 7));
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

/// A number that forked processes share.
class SharedCount {
 public:
  SharedCount()
      : at_(mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    require(at_ != MAP_FAILED, Errc::io, "mmap");
  }
  ~SharedCount() { munmap(at_, sizeof(std::atomic<int>)); }
  std::atomic<int>& count() const { return *static_cast<std::atomic<int>*>(at_); }
  void await(int wanted) const {
    const Deadline deadline(20);
    while (count() < wanted && !deadline.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  void* at_;
};

/// Where ranks of a test meet; made before they are.
class Meeting {
 public:
  explicit Meeting(Place place) : place_(place) {
    if (place == Place::threads) shm_ = meet_in_process();
    if (place == Place::processes) shm_ = meet_on_host();
    if (place == Place::tcp_threads) store_ = local_store();
    if (are_tcp(place) && !are_threads(place))
      server_ = std::make_unique<TcpStoreServer>("127.0.0.1", 0, kSecret);
  }
  Communicator join(const std::string& name, int rank, int size,
                    const GroupOptions& options) const {
    if (shm_) return join_group(shm_, name, rank, size, options);
    std::shared_ptr<Store> store = store_;
    if (server_) store = connect_store({"127.0.0.1", server_->port()}, kSecret, 10);
    // Interleaved hosts of different sizes.
    const char* host = rank < 7 ? "abaabca" + rank : "d";
    return join_over_tcp(*store, name, rank, size, std::string(host, 1), "127.0.0.1", options,
                         place_ == Place::tcp_hosts);
  }

 private:
  static constexpr const char* kSecret = "a secret of tests";
  Place place_;
  std::shared_ptr<Rendezvous> shm_;
  std::shared_ptr<Store> store_;
  std::unique_ptr<TcpStoreServer> server_;
};

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

/// Runs body(i) for each i below `count` on threads.
inline std::vector<Outcome> thread_ranks(int count, const std::function<void(int)>& body) {
  std::vector<Outcome> outcomes(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back(
        [&, i] { outcomes[static_cast<size_t>(i)] = outcome_of([&] { body(i); }); });
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

/// Runs body on `size` ranks of a new group; `watch` may do things to processes meanwhile.
inline std::vector<Outcome> run_ranks(Place place, int size, const GroupOptions& options,
                                      const std::function<void(Communicator&)>& body,
                                      const std::function<void(std::vector<pid_t>&)>& watch = {}) {
  const std::string name = fresh_name();
  const Meeting meeting(place);
  const auto rank = [&](int r) {
    Communicator group = meeting.join(name, r, size, options);
    body(group);
  };
  return are_threads(place) ? thread_ranks(size, rank) : fork_ranks(size, 60, rank, watch);
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
