// SPDX-License-Identifier: Apache-2.0
#include "compile/evaluate.h"
#include "compile/pass.h"
#include "ops/constant.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Larger results are left to run, where fusion may never write them to memory.
constexpr int64_t kMaxElements = int64_t{1} << 22;

}  // namespace

bool fold_constants(Compilation& c) {
  Function& f = c.function;
  const std::vector<bool> constant = constant_values(f, kMaxElements);
  // The frontier: constant values that something not constant uses, or that are results.
  std::vector<bool> wanted(f.values.size());
  for (const Node& node : f.nodes) {
    if (!node.outputs.empty() && constant[static_cast<size_t>(node.outputs[0])]) continue;
    for (ValueId id : node.inputs) wanted[static_cast<size_t>(id)] = true;
  }
  for (const Output& output : f.outputs)
    if (output.value != kNone) wanted[static_cast<size_t>(output.value)] = true;
  for (const Update& update : f.updates) wanted[static_cast<size_t>(update.value)] = true;

  std::vector<size_t> folded;
  std::vector<ValueId> values;
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    const Node& node = f.nodes[n];
    if (node.op.as<Full>() || node.op.as<Constant>() || node.op.as<Expand>()) continue;
    if (node.outputs.size() != 1) continue;
    const ValueId id = node.outputs[0];
    if (!constant[static_cast<size_t>(id)] || !wanted[static_cast<size_t>(id)]) continue;
    folded.push_back(n);
    values.push_back(id);
  }
  if (folded.empty()) return false;
  const std::vector<Tensor> contents = evaluate(f, values, false);
  for (size_t i = 0; i < folded.size(); ++i) {
    f.nodes[folded[i]].op = Constant{contents[i]};
    f.nodes[folded[i]].inputs.clear();
  }
  return true;
}

}  // namespace tutti
