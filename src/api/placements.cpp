// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/engine_state.h"
#include "core/error.h"
#include "ir/text.h"
#include "shard/explain.h"
#include "shard/shard.h"

namespace tutti {

std::vector<PlacementInfo> Engine::placements(size_t plan, const std::string& value) const {
  const auto program = state_->current();
  require_argument(plan < std::max<size_t>(program->plans.size(), 1), "plan ", plan, " of ",
                   program->plans.size());
  if (program->mesh.empty() || program->plans.empty()) return {};
  const shard::Ways ways = shard::ways_of({shard::Mesh::parse(program->mesh), program->context});
  Function f = function_to_shard(*program, program->plans[plan].symbols, state_->options);
  // The first plan was free to place state; then it tells why.
  const bool free = program->plans[plan].symbols == program->plans[0].symbols;
  const shard::Sharding sharding =
      shard::sharding_of(f, ways, free ? shard::States{} : program->states);
  std::vector<PlacementInfo> list;
  std::vector<std::string> names;
  const auto add = [&](ValueId id, const Node* node) {
    const Value& v = f.value(id);
    names.push_back(v.name);
    if (!value.empty() && v.name != value) return;
    PlacementInfo& info = list.emplace_back();
    info.value = v.name;
    info.operation = node != nullptr                                ? node->op.name()
                     : v.resident == kNone                          ? "input"
                     : sharding.placements.states.count(v.resident) ? "state"
                                                                    : "weight";
    info.scope = node != nullptr ? node->scope : "";
    info.type = join(v.type);
    info.placement =
        shard::to_string(sharding.placements.values[static_cast<size_t>(id)], ways.mesh);
    if (!value.empty())
      info.why = shard::explain(f, ways.mesh, sharding.desires, sharding.placements, id);
  };
  for (size_t id = 0; id < f.values.size(); ++id)
    if (f.producer(static_cast<ValueId>(id)) == nullptr) add(static_cast<ValueId>(id), nullptr);
  for (const Node& node : f.nodes)
    for (const ValueId id : node.outputs) add(id, &node);
  require(value.empty() || !list.empty(), Errc::not_found, "value ", value,
          " is not known; nearest: ", join_list(nearest_names(value, names)));
  return list;
}

}  // namespace tutti
