// SPDX-License-Identifier: Apache-2.0
#include <numeric>
#include <unordered_map>

#include "compile/pass.h"
#include "ops/constant.h"

namespace tutti {

bool share_equal(Compilation& c) {
  Function& f = c.function;
  std::vector<ValueId> replaced(f.values.size());
  std::iota(replaced.begin(), replaced.end(), 0);
  std::unordered_map<std::string, size_t> first;  // node by operator, attributes and operands
  bool changed = false;
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    Node& node = f.nodes[n];
    for (ValueId& id : node.inputs) id = replaced[static_cast<size_t>(id)];
    if (node.op.as<Constant>() || node.op.has_effects()) continue;
    std::string key(node.op.name());
    for (const auto& [name, text] : node.op.attributes()) key += join(';', name, '=', text);
    for (ValueId id : node.inputs) key += join(',', id);
    const auto [found, is_new] = first.try_emplace(std::move(key), n);
    if (is_new) continue;
    changed = true;
    const Node& same = f.nodes[found->second];
    for (size_t i = 0; i < node.outputs.size(); ++i)
      replaced[static_cast<size_t>(node.outputs[i])] = same.outputs[i];
  }
  for (Output& output : f.outputs)
    if (output.value != kNone) output.value = replaced[static_cast<size_t>(output.value)];
  for (Update& update : f.updates) update.value = replaced[static_cast<size_t>(update.value)];
  return changed;
}

}  // namespace tutti
