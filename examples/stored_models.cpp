// SPDX-License-Identifier: Apache-2.0
// Builds bundled PyTorch exports, runs them and compares with PyTorch's stored outputs.
//
// Usage: stored_models FOLDER MODEL...     (FOLDER/MODEL.pt2, .inputs.safetensors, .outputs...)
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace {

using tutti::DType;
using tutti::Tensor;

double largest_error(const Tensor& found, const Tensor& expected) {
  if (!(found.shape == expected.shape)) return INFINITY;
  const Tensor a = tutti::cast(found, DType::f64), b = tutti::cast(expected, DType::f64);
  double difference = 0, largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    difference = std::fmax(difference, std::abs(a.as<double>()[i] - b.as<double>()[i]));
    largest = std::fmax(largest, std::abs(b.as<double>()[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

double median_ms(tutti::Session& session, const tutti::TensorMap& inputs) {
  std::vector<double> times;
  for (int i = 0; i < 15; ++i) {
    const auto start = std::chrono::steady_clock::now();
    (void)session.run(inputs);
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    times.push_back(passed.count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Prints a row of the table; true when the outputs are those stored.
bool compare(const std::string& folder, const std::string& model) {
  const std::string path = folder + "/" + model;
  tutti::Engine engine = tutti::Engine::build(path + ".pt2");
  tutti::TensorMap inputs;
  tutti::InputShapes shapes;
  for (const auto& [name, tensor] : tutti::load_tensors(path + ".inputs.safetensors")) {
    inputs[name] = tutti::contiguous(tensor);
    shapes.emplace_back(name, tensor.shape);
  }
  engine.plan(shapes);
  tutti::Session session = engine.session();
  const tutti::TensorMap outputs = session.run(inputs);
  double error = 0;
  bool bf16 = false;
  for (const auto& [name, expected] : tutti::load_tensors(path + ".outputs.safetensors")) {
    error = std::fmax(error, largest_error(outputs.at(name), expected));
    bf16 = bf16 || expected.dtype == DType::bf16;
  }
  const bool good = error <= (bf16 ? 2e-2 : 5e-5);
  std::printf("%-28s %6zu %6zu %10.3f %12.1e  %s\n", model.c_str(), engine.graph_nodes(),
              engine.plans()[0].steps.size(), median_ms(session, inputs), error,
              good ? "ok" : "WRONG");
  std::fflush(stdout);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FOLDER MODEL...\n", argv[0]);
    return 2;
  }
  std::printf("%-28s %6s %6s %10s %12s\n", "model", "nodes", "steps", "ms", "error");
  bool good = true;
  try {
    for (int i = 2; i < argc; ++i) good = compare(argv[1], argv[i]) && good;
  } catch (const tutti::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return good ? 0 : 1;
}
