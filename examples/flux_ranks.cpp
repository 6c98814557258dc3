// SPDX-License-Identifier: Apache-2.0
// Draws a picture with a small FLUX on 1, 2 and 4 ranks, under every strategy, from one file that
// knows nothing of ranks. Prints how far each picture is from that of one rank, what a rank sends
// and what it holds. Ranks are threads; few steps, since the pictures are compared with each other.
//
// Usage: flux_ranks MODEL_FOLDER [STEPS]     (tests/models/flux_tiny holds a model)
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "flux_model.h"

namespace {

struct Strategy {
  std::string mesh, context;
};

const Strategy kStrategies[] = {
    {"tp=2", ""},
    {"cp=2", "ulysses"},
    {"cp=2", "ring"},
    {"cp=2", "gather_kv"},
    {"tp=4", ""},
    {"cp=4", "ulysses"},
    {"cp=4", "ring"},
    {"cp=4", "ulysses:2,ring:2"},
    {"tp=2,cp=2", "ulysses"},
    {"tp=2,cp=2", "ring"},
};

struct Drawn {
  tutti::Tensor latents;
  uint64_t bytes_sent = 0;  // by rank 0 in a step
  double seconds = 0;       // for a step
};

Drawn draw(const tutti::Engine& engine, const tutti::TensorMap& stored, int steps) {
  Drawn drawn;
  const int ranks = engine.mesh().empty() ? 1 : tutti::mesh_size(engine.mesh());
  tutti::run_ranks(ranks, [&](tutti::Communicator& all) {
    tutti::Session session = engine.session(1);
    if (ranks > 1) session.bind(all);
    const auto start = std::chrono::steady_clock::now();
    const tutti::Tensor latents = flux::draw(session, stored, steps, {});
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    all.barrier("a picture");
    if (all.rank() == 0)
      drawn = {latents, session.bytes_sent() / static_cast<uint64_t>(steps),
               passed.count() / steps};
  });
  return drawn;
}

// What the rank that has most holds of weights and activations, in MiB.
double most_memory(const tutti::Engine& engine) {
  size_t most = 0;
  for (const tutti::PlanInfo& plan : engine.plans())
    most = std::max(most, plan.weight_bytes + plan.activation_bytes + plan.held_bytes);
  return static_cast<double>(most) / (1 << 20);
}

double relative_error(const tutti::Tensor& found, const tutti::Tensor& expected) {
  double error = 0, largest = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double wanted = expected.as<float>()[i];
    error = std::max(error, std::abs(found.as<float>()[i] - wanted));
    largest = std::max(largest, std::abs(wanted));
  }
  return error / largest;
}

void print(const tutti::Engine& engine, const Strategy& strategy, const Drawn& drawn, int levels,
           double error) {
  std::printf("%-10s %-17s %9d of 255   %8.1e  %12.0f  %10.1f  %8.0f\n",
              engine.mesh().empty() ? "one rank" : engine.mesh().c_str(), strategy.context.c_str(),
              levels, error, static_cast<double>(drawn.bytes_sent) / 1024, most_memory(engine),
              1e3 * drawn.seconds);
  std::fflush(stdout);
}

int compare(const std::string& folder, int steps) {
  const tutti::TensorMap stored = flux::stored_inputs(folder);
  const tutti::Engine decoder = flux::build_decoder(folder);
  std::printf(
      "the same picture by ranks, in %d steps\n"
      "mesh       attention         difference     latents    KiB sent*  MiB held**  ms a step\n",
      steps);
  const tutti::Engine alone = flux::build_transformer(folder);
  const Drawn expected = draw(alone, stored, steps);
  const flux::Picture picture = flux::decode(decoder, expected.latents);
  print(alone, {}, expected, 0, 0);
  bool same = true;
  for (const Strategy& strategy : kStrategies) {
    const tutti::Engine engine = flux::build_transformer(folder, strategy.mesh, strategy.context);
    const Drawn found = draw(engine, stored, steps);
    const int levels = flux::largest_difference(flux::decode(decoder, found.latents), picture);
    print(engine, strategy, found, levels, relative_error(found.latents, expected.latents));
    same = same && levels <= 1;
  }
  std::printf("* by rank 0 in a step  ** weights and activations of the rank that has most\n");
  return same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const int steps = argc == 3 ? std::atoi(argv[2]) : 2;
  if (argc < 2 || argc > 3 || steps < 1 || flux::kSteps % steps != 0) {
    std::fprintf(stderr, "usage: %s MODEL_FOLDER [STEPS, a divisor of %d]\n", argv[0],
                 flux::kSteps);
    return 2;
  }
  try {
    return compare(argv[1], steps);
  } catch (const tutti::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
