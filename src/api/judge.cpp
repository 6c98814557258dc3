// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>

#include "api/engine_state.h"
#include "core/error.h"
#include "import/pt2.h"
#include "shard/cost.h"
#include "tutti/tutti.h"

namespace tutti {
namespace {

// The least time of some runs, in seconds.
template <class F>
double least_seconds(int runs, const F& body) {
  double least = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    least = std::min(least, passed.count());
  }
  return least;
}

Tensor some_numbers(const Dims& shape) {
  Tensor t = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i)
    t.as<float>()[i] = static_cast<float>(i % 251) / 251 - 0.5f;
  return t;
}

double measure_products() {
  constexpr int64_t kRows = 512, kWidth = 768;
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {kRows, kWidth});
  graph.output("y", linear(x, graph.weight("w", some_numbers({kWidth, kWidth}))));
  BuildOptions options;
  options.threads = 1;
  Session session = Engine::build(graph, options).session(1);
  const std::vector<Tensor> in = {some_numbers({kRows, kWidth})}, out = session.make_outputs(in);
  session.run(in, out);
  return 2.0 * kRows * kWidth * kWidth / least_seconds(12, [&] { session.run(in, out); });
}

double measure_copies() {
  const Tensor from = some_numbers({16 << 20}), to = some_numbers({16 << 20});
  const double seconds = least_seconds(4, [&] { std::memcpy(to.data, from.data, from.bytes()); });
  return 2.0 * static_cast<double>(from.bytes()) / seconds;
}

// Seconds of an all_reduce of so many bytes on two ranks; each sends as many.
double measure_sum(int64_t bytes, int runs) {
  double seconds = 0;
  std::mutex mutex;
  run_ranks(2, [&](Communicator& ranks) {
    const Tensor in = some_numbers({bytes / 4}), out = some_numbers({bytes / 4});
    const auto sum = [&] { ranks.all_reduce(comm::Reduce::sum, in, out); };
    sum();
    const double own = least_seconds(runs, sum);
    const std::lock_guard lock(mutex);
    seconds = std::max(seconds, own);
  });
  return seconds;
}

MeshChoice choice_of(const shard::NamedStrategy& named) {
  return {
      .name = named.name, .mesh = named.strategy.mesh.text(), .context = named.strategy.context};
}

}  // namespace

DeviceProfile measure_device() {
  DeviceProfile profile;
  profile.flops_per_s = measure_products();
  profile.bytes_per_s = measure_copies();
  constexpr int64_t kSmall = 64, kLarge = 8 << 20;
  profile.link_latency_s = measure_sum(kSmall, 200);
  profile.link_bytes_per_s =
      static_cast<double>(kLarge) / std::max(measure_sum(kLarge, 6) - profile.link_latency_s, 1e-9);
  return profile;
}

std::vector<MeshChoice> mesh_choices(int ranks) {
  require_argument(ranks >= 1, "mesh_choices: ", ranks, " ranks; 1 or more are wanted");
  std::vector<MeshChoice> choices;
  for (const shard::NamedStrategy& named : shard::strategies(ranks))
    choices.push_back(choice_of(named));
  return choices;
}

InputShapes example_shapes(const std::string& model_path, const InputShapes& given) {
  ImportReport report;
  const Graph graph = import_pt2(model_path, {.report = &report});
  const Function& run = graph.function("run");
  const std::vector<Dims> complete = complete_shapes(graph, given, report.example);
  InputShapes shapes;
  for (size_t i = 0; i < complete.size(); ++i)
    shapes.emplace_back(run.value(run.inputs[i]).name, complete[i]);
  return shapes;
}

std::vector<MeshChoice> judge_meshes(const std::string& model_path, int ranks,
                                     const BuildOptions& options, const DeviceProfile& profile,
                                     size_t memory_limit) {
  require_argument(ranks >= 1, "judge_meshes: ", ranks, " ranks; 1 or more are wanted");
  ImportReport report;
  Program program;
  program.graph = import_pt2(model_path, {.report = &report});
  // Any mesh: what is recognized for ranks only is recognized then.
  program.mesh = "cp=2";
  const std::vector<Dims> shapes = complete_shapes(
      program.graph, options.shapes.empty() ? InputShapes{} : options.shapes[0], report.example);
  const SymbolValues symbols = bind_symbols(program.graph, program.graph.function("run"), shapes);
  const Function function =
      function_to_shard(program, symbols, {options.fuse, options.matmul, 1, options.held});
  const shard::Profile prices{profile.flops_per_s / 2, profile.bytes_per_s,
                              profile.link_bytes_per_s, profile.link_latency_s};
  const double alone = shard::price(function, prices).sums;
  std::vector<MeshChoice> choices;
  for (const shard::Judged& judged :
       shard::judge(function, ranks, prices, static_cast<int64_t>(memory_limit))) {
    MeshChoice& choice = choices.emplace_back(choice_of(judged));
    choice.seconds = judged.cost.seconds;
    if (alone > 0) choice.share = judged.cost.sums / alone;
    choice.sent_bytes = static_cast<size_t>(judged.cost.sent_bytes);
    choice.memory_bytes = static_cast<size_t>(judged.cost.memory_bytes());
    choice.fits = judged.fits;
  }
  return choices;
}

}  // namespace tutti
