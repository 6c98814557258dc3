// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/test_data.h"
#include "import/tensor_file.h"
#include "ir/graph.h"
#include "ir/verify.h"
#include "ops/interpret.h"
#include "ops/ops_for_tests.h"

namespace tutti {

// What tests of imported graphs share: running them node by node, and comparing with files.

using TensorsByName = std::map<std::string, Tensor, std::less<>>;

/// The tensors of a file whose names begin with `prefix`, under the rest of their names.
inline TensorsByName tensors_in(const std::string& path, std::string_view prefix = "") {
  TensorsByName tensors;
  for (const NamedTensor& named : read_tensors(path))
    if (named.name.starts_with(prefix)) tensors[named.name.substr(prefix.size())] = named.tensor;
  return tensors;
}

/// Runs `run` on inputs by name; carried residents of the graph take their new values.
inline TensorsByName run_graph(Graph& graph, const TensorsByName& inputs) {
  verify(graph);
  const Function& function = graph.function("run");
  std::vector<Tensor> given;
  std::vector<Dims> shapes;
  for (ValueId id : function.inputs) {
    const auto found = inputs.find(function.value(id).name);
    require(found != inputs.end(), Errc::not_found, "no input ", function.value(id).name);
    given.push_back(found->second);
    shapes.push_back(found->second.shape);
  }
  const Function concrete = specialize(function, bind_symbols(graph, function, shapes));
  std::vector<Tensor> residents;
  for (const Resident& resident : graph.residents) residents.push_back(resident.data);
  cpu::Pool pool(2);
  const Interpretation result = interpret(concrete, given, residents, pool);
  for (size_t i = 0; i < function.updates.size(); ++i)
    graph.residents[static_cast<size_t>(function.updates[i].resident)].data = result.updates[i];
  TensorsByName outputs;
  for (size_t i = 0; i < function.outputs.size(); ++i)
    outputs[function.outputs[i].name] = result.outputs[i];
  return outputs;
}

/// The largest error over the largest expected value; infinite where one is NaN and the other not.
inline double relative_error(const Tensor& found, const Tensor& expected) {
  const Values a = values_of(found), b = values_of(expected);
  double error = 0, largest = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) {
      if (std::isfinite(b[i])) largest = std::max(largest, std::abs(b[i]));
      continue;
    }
    const double difference = std::abs(a[i] - b[i]);
    error = std::isnan(difference) ? kInf : std::max(error, difference);
    largest = std::max(largest, std::abs(b[i]));
  }
  return error == 0 ? 0 : error / std::max(largest, 1e-30);
}

/// Every expected tensor has a result of its name, type and shape, as near as `tolerance` says;
/// integers and booleans are equal.
inline void expect_near(const TensorsByName& found, const TensorsByName& expected, double tolerance,
                        const std::string& what) {
  for (const auto& [name, wanted] : expected) {
    const auto result = found.find(name);
    ASSERT_NE(result, found.end()) << what << ": no output " << name;
    const Tensor& tensor = result->second;
    ASSERT_NE(tensor.data, nullptr) << what << ": output " << name << " is None";
    EXPECT_EQ(to_string(tensor.dtype), to_string(wanted.dtype)) << what << ": " << name;
    ASSERT_EQ(to_string(tensor.shape), to_string(wanted.shape)) << what << ": " << name;
    const double limit = is_float(wanted.dtype) ? tolerance : 0;
    const double error = relative_error(tensor, wanted);
    EXPECT_LE(error, limit) << what << ": " << name;
    if (!what.empty()) testing::Test::RecordProperty(name, to_text(error));
  }
}

}  // namespace tutti
