// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <thread>

#include "random_program.h"

// Random programs with collectives, on ranks as threads, beside a simulation by plain loops.
namespace tutti {
namespace {

constexpr int kRuns = 3;

// One rank through all runs; what a late rank meets is what missing waits would break.
void run_rank(Communicator& ranks, const Engine& engine, const RandomProgram& program,
              const std::vector<RunInputs>& inputs,
              const std::vector<std::vector<OnRanks>>& expected, unsigned seed) {
  const auto rank = static_cast<size_t>(ranks.rank());
  std::mt19937 random(seed + static_cast<unsigned>(rank));
  Session session = engine.session(1);
  session.bind(ranks, program.groups(ranks.rank()));
  for (size_t run = 0; run < inputs.size(); ++run) {
    std::vector<Tensor> given;
    for (size_t i = 0; i < RandomProgram::kInputs; ++i) {
      const Plain& x = inputs[run][i][rank];
      const bool held = i + 1 == RandomProgram::kInputs;
      const bool known = held && run > 0 && x == inputs[run - 1][i][rank];
      given.push_back(known && random() % 2 ? Tensor{} : to_tensor(x, program.input_type(i)));
    }
    if (random() % 2) std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
    const std::vector<Tensor> found = session.make_outputs(given);
    for (const Tensor& y : found) std::memset(y.data, 0x5a, y.bytes());  // all must be written
    session.run(given, found);
    for (size_t o = 0; o < expected[run].size(); ++o) {
      const Plain y = to_plain(found[o]), &wanted = expected[run][o][rank];
      ASSERT_EQ(y.shape, wanted.shape);
      const auto [at, other] = std::mismatch(y.data.begin(), y.data.end(), wanted.data.begin());
      ASSERT_EQ(at, y.data.end()) << "seed " << seed << ", rank " << rank << ", run " << run
                                  << ", output " << o << ": element " << at - y.data.begin()
                                  << " is " << *at << ", not " << *other << "\n"
                                  << program.build(ranks.rank()).text();
    }
  }
}

void check(unsigned seed, bool fuse) {
  SCOPED_TRACE("seed " + std::to_string(seed) + (fuse ? ", fused" : ", not fused"));
  RandomProgram program(seed);
  BuildOptions options;
  options.fuse = fuse;
  options.held = {RandomProgram::held()};
  std::vector<Engine> engines;
  for (int r = 0; r < program.ranks(); ++r)
    engines.push_back(Engine::build(program.build(r), options));
  std::vector<RunInputs> inputs;
  std::vector<std::vector<OnRanks>> expected;
  for (int run = 0; run < kRuns; ++run) {
    inputs.push_back(program.next_inputs());
    expected.push_back(program.simulate(inputs.back()));
  }
  try {
    run_ranks(program.ranks(), [&](Communicator& ranks) {
      run_rank(ranks, engines[static_cast<size_t>(ranks.rank())], program, inputs, expected, seed);
    });
  } catch (const Error& error) {
    FAIL() << error.what();
  }
}

// Stops at the first that differs.
void check_many(unsigned seed, int programs) {
  for (int i = 0; i < programs && !testing::Test::HasFailure(); ++i)
    for (const bool fuse : {true, false}) check(seed + static_cast<unsigned>(i), fuse);
}

int programs() { return std::getenv("TUTTI_LONG") != nullptr ? 1000 : 60; }

TEST(RandomRanks, AgreeWithPlainLoops) { check_many(1, programs()); }

TEST(RandomRanks, AgreeForAFreshSeed) {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  check_many(seed, programs() / 2);
}

}  // namespace
}  // namespace tutti
