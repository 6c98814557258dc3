// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "tutti/tutti.h"

int main() {
  tutti::GraphBuilder graph;
  const tutti::Expression x = graph.input("x", tutti::DType::f32, {3});
  graph.output("y", x * 2 + 1);
  tutti::Tensor values = tutti::Tensor::zeros(tutti::DType::f32, {3});
  for (int i = 0; i < 3; ++i) values.as<float>()[i] = static_cast<float>(i);
  const auto outputs = tutti::Engine::build(graph).session().run({{"x", values}});
  const float* y = outputs.at("y").as<float>();
  std::printf("%g %g %g\n", y[0], y[1], y[2]);
  return y[0] == 1 && y[1] == 3 && y[2] == 5 ? 0 : 1;
}
