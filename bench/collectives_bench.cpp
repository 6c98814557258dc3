// SPDX-License-Identifier: Apache-2.0
// Microseconds of collectives between 4 (or N) ranks of this machine: by shared memory, as threads
// and as processes, or over TCP, as processes of one host or of two (as they say) by turns:
//   collectives_bench [N] [shm | tcp | hosts]
// Sizes are those of the larger of input and output of one rank; the best of several rounds, each
// the mean of calls between two barriers. collectives_mpi.cpp prints the same for MPI.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "comm/gloo/join.h"
#include "comm/store/tcp_store.h"

namespace {

using namespace tutti;
using namespace tutti::comm;

struct Case {
  const char* name;
  Kind kind;
  int64_t bytes;
};

constexpr int64_t kMost = 64 << 20;

std::vector<Case> cases() {
  std::vector<Case> all = {{"barrier", Kind::barrier, 0}};
  for (int64_t bytes : {int64_t{1} << 10, int64_t{64} << 10, int64_t{1} << 20, kMost}) {
    all.push_back({"all_reduce", Kind::all_reduce, bytes});
    all.push_back({"all_gather", Kind::all_gather, bytes});
    all.push_back({"all_to_all", Kind::all_to_all, bytes});
    all.push_back({"reduce_scatter", Kind::reduce_scatter, bytes});
    all.push_back({"broadcast", Kind::broadcast, bytes});
  }
  return all;
}

void measure(Communicator g, const char* place) {
  std::vector<float> in(kMost / 4, 1.0f), out(kMost / 4);
  for (const Case& c : cases()) {
    const bool whole = c.kind == Kind::all_reduce || c.kind == Kind::broadcast;
    const int64_t count = c.bytes / 4 / (whole ? 1 : g.size());
    const Collective what{.kind = c.kind, .count = count, .label = c.name};
    const bool tcp = std::string(place) == "tcp" || std::string(place) == "hosts";
    const int calls = c.bytes >= kMost ? 3 : c.bytes >= 1 << 20 ? 50 : tcp ? 200 : 2000;
    const int rounds = c.bytes >= kMost ? 8 : 12;
    double best = 1e30;
    for (int round = 0; round < rounds; ++round) {
      g.barrier();
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < calls; ++i) g.run(what, in.data(), out.data());
      g.barrier();
      const std::chrono::duration<double, std::micro> time =
          std::chrono::steady_clock::now() - start;
      best = std::min(best, time.count() / calls);
    }
    if (g.rank() == 0)
      std::printf("%-10s %-15s %9ld B %10.1f us\n", place, c.name, static_cast<long>(c.bytes),
                  best);
  }
  std::fflush(stdout);
}

}  // namespace

namespace {

/// Forks a process for each rank that join(rank) makes.
template <class Join>
void measure_processes(int size, const char* place, const Join& join) {
  std::vector<pid_t> children;
  for (int r = 0; r < size; ++r) {
    if (const pid_t child = fork(); child != 0) {
      children.push_back(child);
      continue;
    }
    measure(join(r), place);
    _exit(0);
  }
  for (pid_t child : children) waitpid(child, nullptr, 0);
}

void measure_tcp(int size, bool hierarchical) {
  const TcpStoreServer server("127.0.0.1", 0, "bench");
  measure_processes(size, hierarchical ? "hosts" : "tcp", [&](int r) {
    const auto store = connect_store({"127.0.0.1", server.port()}, "bench", 10);
    return join_over_tcp(*store, "bench", r, size, r % 2 == 0 ? "a" : "b", "127.0.0.1", {},
                         hierarchical);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const int size = argc > 1 ? std::atoi(argv[1]) : 4;
  const std::string way = argc > 2 ? argv[2] : "shm";
  if (way != "shm") {
    measure_tcp(size, way == "hosts");
    return 0;
  }
  const std::string name = "bench." + std::to_string(getpid());
  measure_processes(size, "processes",
                    [&](int r) { return join_group(meet_on_host(), name, r, size); });
  const auto hub = meet_in_process();
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] { measure(join_group(hub, name, r, size), "threads"); });
  for (std::thread& thread : threads) thread.join();
}
