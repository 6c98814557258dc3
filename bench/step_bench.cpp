// SPDX-License-Identifier: Apache-2.0
// What steps cost beside their arithmetic: bytes of fused regions against a plain copy, and an
// empty step.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>

#include "tutti/tutti.h"

namespace {

using tutti::DType;
using tutti::Expression;
using tutti::Tensor;

constexpr int64_t kRows = 4096, kColumns = 4096;  // 64 MiB of f32: far beyond the caches

Tensor random_tensor(const tutti::Dims& shape) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Tensor t = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] = normal(random);
  return t;
}

// Runs a network of one input; `tensors` is how many of its size a run reads and writes.
void run(benchmark::State& state, const tutti::GraphBuilder& graph, const Tensor& x, int threads,
         int tensors) {
  tutti::BuildOptions options;
  options.threads = threads;
  const tutti::Engine engine = tutti::Engine::build(graph, options);
  tutti::Session session = engine.session(threads);
  const std::vector<Tensor> in = {x};
  const std::vector<Tensor> out = session.make_outputs(in);
  for (auto _ : state) session.run(in, out);
  state.SetBytesProcessed(state.iterations() * x.elements() * 4 * tensors);
}

void copy(benchmark::State& state) {
  const Tensor x = random_tensor({kRows, kColumns});
  Tensor y = Tensor::zeros(DType::f32, x.shape);
  for (auto _ : state) {
    std::memcpy(y.data, x.data, static_cast<size_t>(x.elements()) * 4);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * x.elements() * 8);
}

void chain_with_bias(benchmark::State& state) {
  tutti::GraphBuilder graph;
  Expression x = graph.input("x", DType::f32, {kRows, kColumns});
  const Expression bias = graph.weight("bias", random_tensor({kColumns}));
  graph.output("y", tutti::relu(x * x.constant_like(1.5) + bias) - x.constant_like(0.5));
  run(state, graph, random_tensor({kRows, kColumns}), static_cast<int>(state.range(0)), 2);
}

void chain(benchmark::State& state) {
  tutti::GraphBuilder graph;
  Expression x = graph.input("x", DType::f32, {kRows, kColumns});
  graph.output("y", tutti::relu(x * x.constant_like(1.5)) - x.constant_like(0.5));
  run(state, graph, random_tensor({kRows, kColumns}), static_cast<int>(state.range(0)), 2);
}

void gelu(benchmark::State& state) {
  tutti::GraphBuilder graph;
  Expression x = graph.input("x", DType::f32, {kRows, kColumns});
  graph.output("y", tutti::gelu(x));
  run(state, graph, random_tensor({kRows, kColumns}), static_cast<int>(state.range(0)), 2);
}

void layer_norm(benchmark::State& state) {
  tutti::GraphBuilder graph;
  Expression x = graph.input("x", DType::f32, {kRows, kColumns});
  graph.output("y", tutti::layer_norm(x));
  run(state, graph, random_tensor({kRows, kColumns}), static_cast<int>(state.range(0)), 2);
}

// A chain of steps on one element, not fused: what is left is the cost of a step.
void empty_steps(benchmark::State& state) {
  tutti::GraphBuilder graph;
  Expression x = graph.input("x", DType::f32, {1});
  for (int i = 0; i < state.range(0); ++i) x = tutti::relu(x);
  graph.output("y", x);
  tutti::BuildOptions options;
  options.fuse = false;
  options.threads = 1;
  const tutti::Engine engine = tutti::Engine::build(graph, options);
  tutti::Session session = engine.session(1);
  const std::vector<Tensor> in = {random_tensor({1})};
  const std::vector<Tensor> out = session.make_outputs(in);
  for (auto _ : state) session.run(in, out);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(copy);
BENCHMARK(chain_with_bias)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(chain)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(gelu)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(layer_norm)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(empty_steps)->Arg(1)->Arg(101);

}  // namespace

BENCHMARK_MAIN();
