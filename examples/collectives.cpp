// SPDX-License-Identifier: Apache-2.0
// Every collective of a network, on ranks: checked against arithmetic, with time and bytes.
//
//   build/examples/collectives 4                       four threads
//   tutti launch -n 4 build/examples/collectives       four processes; torchrun, mpirun, srun too
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace {

using tutti::Communicator;
using tutti::Expression;
using tutti::GraphBuilder;
using tutti::Ranks;
using tutti::Tensor;

constexpr int64_t kBlock = 4096;  // elements; the operand of each rank has one block per rank

// Element i of the operand of a rank: small enough for sums to be exact.
float x_of(int64_t rank, int64_t i) { return static_cast<float>(100 * rank + i % 1000); }

float sum_of(int ranks, int64_t i) {
  float sum = 0;
  for (int r = 0; r < ranks; ++r) sum += x_of(r, i);
  return sum;
}

// A network of one collective, and what element i of its result is.
struct Shown {
  std::string name;
  std::function<Expression(GraphBuilder&, Expression x, Ranks all)> network;
  std::function<float(int64_t i)> expected;
};

std::vector<Shown> collectives(int rank, int n) {
  const int next = (rank + 1) % n, previous = (rank + n - 1) % n, last = n - 1;
  const int64_t all = n * kBlock, own = rank * kBlock;
  const int64_t part = 2 * kBlock / (n + 1), own_part = (rank + 1) * part;
  std::vector<Shown> shown = {
      {"all_reduce sum", [](auto&, auto x, auto ranks) { return all_reduce(x, ranks); },
       [=](int64_t i) { return sum_of(n, i); }},
      {"all_reduce max", [](auto&, auto x, auto ranks) { return all_reduce(x, ranks, "max"); },
       [=](int64_t i) { return x_of(last, i); }},
      {"reduce_to", [](auto&, auto x, auto ranks) { return reduce_to(x, ranks, 0); },
       [=](int64_t i) { return rank == 0 ? sum_of(n, i) : 0; }},
      {"broadcast", [=](auto&, auto x, auto ranks) { return broadcast(x, ranks, last); },
       [=](int64_t i) { return x_of(last, i); }},
      {"all_gather", [](auto&, auto x, auto ranks) { return all_gather(x, ranks); },
       [=](int64_t i) { return x_of(i / all, i % all); }},
      {"gather_to", [](auto&, auto x, auto ranks) { return gather_to(x, ranks, 0); },
       [=](int64_t i) { return rank == 0 ? x_of(i / all, i % all) : 0; }},
      {"reduce_scatter", [](auto&, auto x, auto ranks) { return reduce_scatter(x, ranks); },
       [=](int64_t i) { return sum_of(n, own + i); }},
      {"scatter_from", [](auto&, auto x, auto ranks) { return scatter_from(x, ranks, 0); },
       [=](int64_t i) { return x_of(0, own + i); }},
      {"all_to_all", [](auto&, auto x, auto ranks) { return all_to_all(x, ranks); },
       [=](int64_t i) { return x_of(i / kBlock, own + i % kBlock); }},
      // Rank s gets (s + 1) * part elements from each.
      {"all_to_all_v",
       [=](auto&, auto x, auto ranks) {
         std::vector<int64_t> sends, receives(static_cast<size_t>(n), own_part);
         for (int s = 0; s < n; ++s) sends.push_back((s + 1) * part);
         return all_to_all_v(slice(x, 0, 0, part * n * (n + 1) / 2), ranks, sends, receives);
       },
       [=](int64_t i) { return x_of(i / own_part, own_part * rank / 2 + i % own_part); }},
      {"rank",
       [](auto& graph, auto x, auto ranks) {
         return x + cast(rank_in(graph, ranks), tutti::DType::f32);
       },
       [=](int64_t i) { return x_of(rank, i) + static_cast<float>(rank); }}};
  if (n > 1)
    shown.push_back({"send and recv",
                     [=](auto& graph, auto x, auto ranks) {
                       send(graph, x, ranks, next);
                       return recv(graph, ranks, previous, x.dtype(), x.shape());
                     },
                     [=](int64_t i) { return x_of(previous, i); }});
  return shown;
}

// Compiles, binds, runs and compares one network; true when all ranks found what they should.
bool show(Communicator& ranks, const Shown& shown) {
  constexpr int kRuns = 20;
  GraphBuilder graph;
  const int64_t elements = ranks.size() * kBlock;
  const Expression x = graph.input("x", tutti::DType::f32, {elements});
  graph.output("y", shown.network(graph, x, {"", {}, ranks.size()}));
  tutti::Session session = tutti::Engine::build(graph).session(1);
  session.bind(ranks);

  const std::vector<Tensor> inputs = {Tensor::zeros(tutti::DType::f32, {elements})};
  for (int64_t i = 0; i < elements; ++i) inputs[0].as<float>()[i] = x_of(ranks.rank(), i);
  const std::vector<Tensor> outputs = session.make_outputs(inputs);
  std::vector<double> times;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    session.run(inputs, outputs);
    const std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - start;
    times.push_back(passed.count());
  }
  std::sort(times.begin(), times.end());

  // The most that any rank has.
  double worst[] = {times[kRuns / 2], static_cast<double>(session.bytes_sent()) / kRuns / 1024, 0};
  for (int64_t i = 0; i < outputs[0].elements(); ++i)
    worst[2] += outputs[0].as<float>()[i] != shown.expected(i);
  const Tensor all = Tensor::borrow(worst, tutti::DType::f64, {3});
  ranks.all_reduce(tutti::comm::Reduce::max, all, all);
  if (ranks.rank() == 0)
    std::printf("%-16s %10.1f %12.1f  %s\n", shown.name.c_str(), worst[0], worst[1],
                worst[2] == 0 ? "ok" : "WRONG");
  return worst[2] == 0;
}

bool show_all(Communicator& ranks) {
  if (ranks.rank() == 0)
    std::printf("ranks: %d, f32[%lld] on each\n%-16s %10s %12s\n", ranks.size(),
                static_cast<long long>(ranks.size() * kBlock), "collective", "us", "KiB sent");
  bool good = true;
  for (const Shown& shown : collectives(ranks.rank(), ranks.size()))
    good = show(ranks, shown) && good;
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::atomic<bool> good = true;
    if (Communicator job = tutti::join_job(); job.size() > 1)
      good = show_all(job);
    else
      tutti::run_ranks(argc > 1 ? std::stoi(argv[1]) : 2, [&](Communicator& ranks) {
        if (!show_all(ranks)) good = false;
      });
    return good ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "collectives: %s\n", error.what());
    return 2;
  }
}
