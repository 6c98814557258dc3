// SPDX-License-Identifier: Apache-2.0
// A program of its own: it replaces the allocation functions to count calls.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "core/test_data.h"
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

void* operator new(size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace tutti {
namespace {

class Allocations : public testing::TestWithParam<const char*> {};

TEST_P(Allocations, NoneDuringAWarmRun) {
  const std::string path = test_model(GetParam());
  Engine engine = Engine::build(path + ".pt2");
  const TensorMap stored = load_tensors(path + ".inputs.safetensors");
  std::vector<Tensor> inputs;
  InputShapes shapes;
  for (const PortInfo& port : engine.inputs()) {
    inputs.push_back(contiguous(stored.at(port.name)));
    shapes.emplace_back(port.name, inputs.back().shape);
  }
  engine.plan(shapes);
  Session session = engine.session(2);
  const std::vector<Tensor> outputs = session.make_outputs(inputs);
  session.run(inputs, outputs);
  allocations = 0;
  counting = true;
  session.run(inputs, outputs);
  counting = false;
  EXPECT_EQ(allocations, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, Allocations,
                         testing::Values("flux", "flux_bf16", "llama", "gpt2", "t5_encoder",
                                         "clip_text", "vae_decoder"));

TEST(Allocations, AreCounted) {
  counting = true;
  delete new int(1);
  counting = false;
  EXPECT_GE(allocations.exchange(0), 1);
}

}  // namespace
}  // namespace tutti
