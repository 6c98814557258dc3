// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/engine_state.h"
#include "core/error.h"

namespace tutti {
namespace {

bool is_inside(std::string_view scope, std::string_view outer) {
  return scope.starts_with(outer) && (scope.size() == outer.size() || scope[outer.size()] == '.');
}

// Whether anybody outside of its layer reads a value; without layers anybody at all.
std::vector<bool> leaving(const Function& f) {
  const bool layers = std::any_of(f.nodes.begin(), f.nodes.end(),
                                  [](const Node& node) { return !node.scope.empty(); });
  std::vector<bool> leaves(f.values.size());
  for (const Node& node : f.nodes)
    for (const ValueId id : node.inputs) {
      const Node* producer = f.producer(id);
      if (producer != nullptr && (!layers || !is_inside(node.scope, producer->scope)))
        leaves[static_cast<size_t>(id)] = true;
    }
  return leaves;
}

}  // namespace

std::vector<LayerInfo> Engine::layers(size_t plan) const {
  const auto program = state_->current();
  require_argument(plan < program->plans.size(), "plan ", plan, " of ", program->plans.size());
  Function f = specialize(program->graph.function("run"), program->plans[plan].symbols);
  f.remove_dead();
  const std::vector<bool> leaves = leaving(f);
  const auto is_output = [&](ValueId id) {
    return std::any_of(f.outputs.begin(), f.outputs.end(),
                       [&](const Output& output) { return output.value == id; });
  };
  std::vector<LayerInfo> list;
  for (const Node& node : f.nodes)
    for (const ValueId id : node.outputs) {
      const Value& value = f.value(id);
      if (leaves[static_cast<size_t>(id)] && !is_output(id))
        list.push_back({value.name, std::string(node.op.name()), node.scope, value.type.dtype,
                        constant_dims(value.type.shape)});
    }
  return list;
}

void watch(Graph& graph, const std::vector<std::string>& names) {
  Function& run = graph.function("run");
  std::vector<std::string> known;
  for (const Value& value : run.values) known.push_back(value.name);
  for (const std::string& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    require(found != known.end(), Errc::not_found, "watched value ", name,
            " is not known; nearest: ", join_list(nearest_names(name, known)));
    for (const Output& output : run.outputs)
      require_argument(output.name != name, "watched value ", name, " is an output's name");
    run.outputs.push_back({name, static_cast<ValueId>(found - known.begin())});
  }
}

}  // namespace tutti
