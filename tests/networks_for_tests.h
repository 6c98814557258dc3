// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tutti/tutti.h"

// Small networks by hand, and what they give.
namespace tutti {

inline Tensor numbers(const Dims& shape, const std::vector<float>& values) {
  Tensor t = Tensor::zeros(DType::f32, shape);
  std::copy(values.begin(), values.end(), t.as<float>());
  return t;
}

inline Tensor filled(const Dims& shape, float value) {
  return numbers(shape, std::vector<float>(static_cast<size_t>(elements(shape)), value));
}

inline std::vector<float> values_of(const Tensor& t) {
  return {t.as<float>(), t.as<float>() + t.elements()};
}

/// Numbers between -1 and 1 that look like none in particular: element i is sin((i i + seed) %
/// 8191).
inline Tensor some_numbers(const Dims& shape, int seed = 0) {
  Tensor t = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i)
    t.as<float>()[i] = std::sin(static_cast<float>((i * i + seed) % 8191));
  return t;
}

/// A network of one input x and one output y.
inline Engine network(const Extents& shape,
                      const std::function<Expression(GraphBuilder&, Expression)>& y,
                      const BuildOptions& options = {}) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, shape);
  graph.output("y", y(graph, x));
  return Engine::build(graph, options);
}

/// What an error says, or "none".
template <class F>
std::string error_of(const F& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace tutti
