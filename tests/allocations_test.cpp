// SPDX-License-Identifier: Apache-2.0
// A program of its own: it replaces the allocation functions to count calls.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <new>

#include "core/test_data.h"
#include "core/text.h"
#include "tutti/tutti.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};

void* allocate(size_t bytes, size_t alignment) {
  if (counting) ++allocations;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// All forms, so that each meets its own delete also where a sanitizer brings some.
void* operator new(size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, alignof(std::max_align_t));
}
void* operator new[](size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace tutti {
namespace {

class Allocations : public testing::TestWithParam<const char*> {};

struct Count {
  long allocations;  // of one run after a first one
  long onednn;       // steps that run in oneDNN
};

Count count_run(const std::string& path, const std::string& matmul, int threads) {
  BuildOptions options;
  options.matmul = matmul;
  Engine engine = Engine::build(path + ".pt2", options);
  const TensorMap stored = load_tensors(path + ".inputs.safetensors");
  std::vector<Tensor> inputs;
  InputShapes shapes;
  for (const PortInfo& port : engine.inputs()) {
    inputs.push_back(contiguous(stored.at(port.name)));
    shapes.emplace_back(port.name, inputs.back().shape);
  }
  engine.plan(shapes);
  Count count{};
  const PlanInfo plan = engine.plans().at(0);
  for (const StepInfo& step : plan.steps) count.onednn += step.implementation == "onednn";
  Session session = engine.session(threads);
  const std::vector<Tensor> outputs = session.make_outputs(inputs);
  session.run(inputs, outputs);
  allocations = 0;
  counting = true;
  session.run(inputs, outputs);
  counting = false;
  count.allocations = allocations;
  return count;
}

TEST_P(Allocations, NoneDuringAWarmRun) {
  EXPECT_EQ(count_run(test_model(GetParam()), "own", 2).allocations, 0);
}

TEST_P(Allocations, AreFewAndOnlyInsideOneDnn) {
  const auto all = operators();
  const auto matmul = std::find_if(all.begin(), all.end(),
                                   [](const OperatorInfo& op) { return op.name == "matmul"; });
  const auto& names = matmul->implementations;
  if (std::find(names.begin(), names.end(), "onednn") == names.end())
    GTEST_SKIP() << "this build has no oneDNN";
  for (int threads : {1, 2}) {
    const Count count = count_run(test_model(GetParam()), "onednn", threads);
    std::cout << count.allocations << " allocations in " << count.onednn
              << " steps of oneDNN, threads: " << threads << "\n";
    // A step runs a primitive for each of its outputs, twice on two threads.
    EXPECT_LE(count.allocations, count.onednn * 20 * threads);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Allocations,
                         testing::Values("flux", "flux_bf16", "llama", "gpt2", "t5_encoder",
                                         "clip_text", "vae_decoder"));

// Two ranks as threads; whatever either allocates between the barriers counts.
TEST(Allocations, NoneDuringAWarmRunOnRanks) {
  run_ranks(2, [](Communicator& ranks) {
    const std::string path = test_model("tp/tp_block");
    const Engine engine = Engine::build(join(path, ".rank", ranks.rank(), "of2.pt2"));
    const TensorMap stored = load_tensors(path + ".inputs.safetensors");
    std::vector<Tensor> inputs;
    for (const PortInfo& port : engine.inputs()) inputs.push_back(stored.at(port.name));
    Session session = engine.session(1);
    session.bind(ranks);
    const std::vector<Tensor> outputs = session.make_outputs(inputs);
    for (int i = 0; i < 2; ++i) session.run(inputs, outputs);
    ranks.barrier();
    if (ranks.rank() == 0) allocations = 0;
    ranks.barrier();
    counting = true;
    for (int i = 0; i < 5; ++i) session.run(inputs, outputs);
    ranks.barrier();
    counting = false;
    ranks.barrier();
    EXPECT_EQ(allocations, 0);
    EXPECT_GT(session.bytes_sent(), 0u);
  });
}

TEST(Allocations, AreCounted) {
  counting = true;
  int* volatile memory = new int(1);  // else both may be left out
  delete memory;
  counting = false;
  EXPECT_GE(allocations.exchange(0), 1);
}

}  // namespace
}  // namespace tutti
