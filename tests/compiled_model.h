// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include "compile/compile.h"
#include "core/error.h"
#include "import/pt2.h"
#include "import/tensor_file.h"
#include "ops/implementation.h"
#include "runtime/session.h"

namespace tutti {

using Tensors = std::map<std::string, Tensor, std::less<>>;

/// The tensors of a file whose names start with `prefix`, without it.
inline Tensors tensors_of(const std::string& path, std::string_view prefix = {}) {
  Tensors result;
  for (const NamedTensor& t : read_tensors(path))
    if (t.name.starts_with(prefix)) result[t.name.substr(prefix.size())] = t.tensor;
  return result;
}

/// Largest difference over the largest expected value; NaN must meet NaN, integers must be equal
/// (else infinity).
inline double relative_error(const Tensor& found, const Tensor& expected) {
  if (found.shape != expected.shape || found.dtype != expected.dtype) return INFINITY;
  const Tensor a = cast(found, DType::f64), b = cast(expected, DType::f64);
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.as<double>()[i], y = b.as<double>()[i];
    if (std::isnan(x) || std::isnan(y) || std::isinf(x) || std::isinf(y)) {
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) return INFINITY;
      continue;
    }
    largest = std::max(largest, std::abs(y));
    difference = std::max(difference, std::abs(x - y));
  }
  if (!is_float(expected.dtype)) return difference == 0 ? 0 : INFINITY;
  return largest == 0 ? difference : difference / largest;
}

/// Whether this build has that implementation of matrix products.
inline bool has_matmul(std::string_view name) {
  const auto rows = implementations();
  return std::any_of(rows.begin(), rows.end(), [&](const Implementation& row) {
    return row.op == "matmul" && row.name == name;
  });
}

/// A model compiled for the shapes of given inputs, and a session on it.
class CompiledModel {
 public:
  CompiledModel(Graph graph, CompileOptions options, int threads = 2)
      : program_(std::make_shared<Program>()), options_(std::move(options)), threads_(threads) {
    program_->graph = std::move(graph);
  }

  /// Runs with inputs by name; compiles for their shapes when that was not done before.
  Tensors run(const Tensors& given) {
    const Function& function = program_->graph.function("run");
    std::vector<Tensor> inputs;
    std::vector<Dims> shapes;
    for (ValueId id : function.inputs) {
      const auto found = given.find(function.value(id).name);
      require(found != given.end(), Errc::not_found, "input ", function.value(id).name);
      inputs.push_back(contiguous(found->second));
      shapes.push_back(found->second.shape);
    }
    const SymbolValues symbols = bind_symbols(program_->graph, function, shapes);
    size_t plan = 0;
    while (plan < program_->plans.size() && program_->plans[plan].symbols != symbols) ++plan;
    if (plan == program_->plans.size()) {
      Plan made = compile_plan(*program_, symbols, options_);
      program_->plans.push_back(std::move(made));
      compute_derived(*program_);
      session_ = std::make_unique<runtime::Session>(program_, threads_);
    }
    std::vector<Tensor> outputs;
    for (const Port& port : program_->plans[plan].outputs)
      outputs.push_back(port.present ? Tensor::zeros(port.dtype, port.shape) : Tensor{});
    session_->run(plan, inputs, outputs);
    Tensors result;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (program_->plans[plan].outputs[i].present)
        result[program_->plans[plan].outputs[i].name] = outputs[i];
    return result;
  }

  runtime::Session& session() { return *session_; }
  const Program& program() const { return *program_; }

 private:
  std::shared_ptr<Program> program_;
  CompileOptions options_;
  int threads_;
  std::unique_ptr<runtime::Session> session_;
};

}  // namespace tutti
