// SPDX-License-Identifier: Apache-2.0
// Builds a network of two layers by hand, compiles it and runs it on a batch of 4 and of 9.
#include <cstdio>
#include <random>

#include "tutti/tutti.h"

namespace {

tutti::Tensor random_tensor(const tutti::Dims& shape, float scale) {
  static std::mt19937 random(7);
  std::normal_distribution<float> normal(0, scale);
  tutti::Tensor t = tutti::Tensor::zeros(tutti::DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] = normal(random);
  return t;
}

}  // namespace

int main() {
  tutti::GraphBuilder graph;
  const auto x = graph.input("x", tutti::DType::f32, {"batch", 64});
  const auto w1 = graph.weight("w1", random_tensor({128, 64}, 0.1f));
  const auto b1 = graph.weight("b1", random_tensor({128}, 0.1f));
  const auto w2 = graph.weight("w2", random_tensor({10, 128}, 0.1f));
  graph.output("y", tutti::softmax(tutti::linear(tutti::relu(tutti::linear(x, w1, b1)), w2)));

  tutti::BuildOptions options;
  options.shapes = {{{"x", {4, 64}}}, {{"x", {9, 64}}}};
  const tutti::Engine engine = tutti::Engine::build(graph, options);
  tutti::Session session = engine.session();

  for (int64_t batch : {4, 9}) {
    const tutti::Tensor y = session.run({{"x", random_tensor({batch, 64}, 1)}}).at("y");
    std::printf("y %s: first row", to_string(y.shape).c_str());
    for (int i = 0; i < 10; ++i) std::printf(" %.3f", y.as<float>()[i]);
    std::printf("\n");
  }
}
