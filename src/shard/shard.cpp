// SPDX-License-Identifier: Apache-2.0
#include "shard/shard.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/collectives.h"
#include "ops/decompose.h"
#include "shard/check.h"
#include "shard/strategy.h"

namespace tutti::shard {
namespace {

struct Part {
  std::string_view name;
  int size;  // 0: all of cp
};

std::vector<Part> parts_of(std::string_view text) {
  std::vector<Part> parts;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    std::string_view word = rest.substr(0, comma);
    int size = 0;
    if (const size_t colon = word.find(':'); colon != std::string_view::npos) {
      const std::string_view number = word.substr(colon + 1);
      std::from_chars(number.data(), number.data() + number.size(), size);
      require_argument(size > 0, "context ", text, ": ", word, "; NAME:RANKS is wanted");
      word = word.substr(0, colon);
    }
    parts.push_back({word, size});
    rest = rest.substr(std::min(comma + 1, rest.size()));
  }
  return parts;
}

Context context_of(std::string_view name, std::string_view text) {
  if (name == "gather_kv") return Context::gather_kv;
  if (name == "ulysses") return Context::ulysses;
  require_argument(name == "ring", "context ", text, name == text ? "" : join(": ", name),
                   "; gather_kv, ulysses or ring is wanted");
  return Context::ring;
}

AxisSet axes_named(const Mesh& mesh, std::string_view name) {
  AxisSet axes = 0;
  for (size_t a = 0; a < mesh.axes().size(); ++a) {
    const std::string& own = mesh.axes()[a].name;
    if (own == name || own.starts_with(std::string(name) + ".")) axes |= AxisSet{1} << a;
  }
  return axes;
}

// Where state is, values that read it and become it ought to be.
void seed_states(const Function& f, const States& states, Desires& desires) {
  for (size_t v = 0; v < f.values.size(); ++v) {
    const auto state = states.find(f.values[v].resident);
    if (state == states.end()) continue;
    for (size_t d = 0; d < state->second.dims.size(); ++d)
      if (const auto& table = state->second.dims[d])
        desires.seed(static_cast<ValueId>(v), static_cast<int>(d), *table,
                     "where the first plan left state");
  }
}

// Attention whose last queries see more keys than the first, or the other way around.
bool has_causal(const Function& f) {
  return std::any_of(f.nodes.begin(), f.nodes.end(), [](const Node& node) {
    const auto* op = node.op.as<Attention>();
    return op != nullptr && (op->left < 0) != (op->right < 0);
  });
}

// Axes along which the ranks of a network's own collectives lie: what differs between them is the
// network's business.
AxisSet own_axes(const Function& f, const Mesh& mesh) {
  AxisSet axes = 0;
  for (const Node& node : f.nodes) {
    const RankList* where = rank_list(node.op);
    if (const auto* rank = node.op.as<RankInGroup>()) where = rank;
    if (where == nullptr) continue;
    const auto size = where->size > 0 ? static_cast<size_t>(where->size) : where->ranks.size();
    if (!where->ranks.empty()) {
      for (size_t i = 0; i < where->ranks.size(); ++i)
        for (size_t a = 0; a < mesh.axes().size(); ++a) {
          const auto first = static_cast<int>(where->ranks[i - i % size]);
          const auto other = static_cast<int>(where->ranks[i]);
          const AxisSet axis = AxisSet{1} << a;
          if (mesh.position(first, axis) != mesh.position(other, axis)) axes |= axis;
        }
    } else if (where->group.empty()) {
      axes = (AxisSet{1} << mesh.axes().size()) - 1;
    } else {
      axes |= axes_named(mesh, where->group);
    }
  }
  return axes;
}

// The axes of strategies that propagation may use.
AxisSet strategy_axes(const Function& f, const Mesh& mesh) {
  AxisSet axes = 0;
  for (const char* name : {"dp", "tp", "cp"}) axes |= axes_named(mesh, name);
  return axes & ~own_axes(f, mesh);
}

// `axes`: those of strategies.
Desires desires_of(const Function& f, const Ways& ways, const States& states, AxisSet axes) {
  Desires desires(f, ways.mesh);
  seed_states(f, states, desires);
  if (const AxisSet dp = axes & axes_named(ways.mesh, "dp"))
    seed_data_parallel(f, ways.mesh, dp, desires);
  if (const AxisSet tp = axes & axes_named(ways.mesh, "tp"))
    seed_tensor_parallel(f, ways.mesh, tp, desires);
  if (const AxisSet cp = axes & axes_named(ways.mesh, "cp")) {
    bool balanced = has_causal(f);
    for (size_t a = 0; a < ways.context.size(); ++a)
      if ((cp >> a & 1) != 0 && ways.context[a] == Context::ulysses) balanced = false;
    seed_context_parallel(f, ways.mesh, cp, balanced, desires);
  }
  return desires;
}

// Whether an operator is asked for parts of what it takes together.
bool takes_parts(const Node& node, const std::optional<Factors>& own, const Desires& desires) {
  if (!own) return false;
  for (size_t i = 0; i < node.outputs.size(); ++i)
    for (size_t d = 0; d < own->out[i].size(); ++d)
      if (const int factor = own->out[i][d]; factor >= 0 &&
                                             own->list[static_cast<size_t>(factor)].decomposes &&
                                             desires.at(node.outputs[i], static_cast<int>(d)))
        return true;
  return false;
}

}  // namespace

Ways ways_of(const Strategy& strategy) {
  const std::vector<Part> parts = parts_of(strategy.context);
  std::vector<Mesh::Axis> axes;
  Ways ways;
  for (const Mesh::Axis& axis : strategy.mesh.axes()) {
    if (axis.name != "cp" || parts.size() < 2) {
      require_argument(
          axis.name != "cp" || parts.empty() || parts[0].size == 0 || parts[0].size == axis.size,
          "context ", strategy.context, " is of ", parts.empty() ? 0 : parts[0].size,
          " ranks; cp has ", axis.size);
      axes.push_back(axis);
      ways.context.push_back(axis.name == "cp" && !parts.empty()
                                 ? context_of(parts[0].name, strategy.context)
                                 : Context::gather_kv);
      continue;
    }
    int product = 1;
    for (const Part& part : parts) {
      require_argument(part.size > 0, "context ", strategy.context, ": ", part.name,
                       " has no number of ranks; NAME:RANKS is wanted of each");
      product *= part.size;
      axes.push_back({join("cp.", part.name), part.size});
      ways.context.push_back(context_of(part.name, strategy.context));
    }
    require_argument(product == axis.size, "context ", strategy.context, " is of ", product,
                     " ranks; cp has ", axis.size);
  }
  ways.mesh = Mesh(std::move(axes));
  return ways;
}

bool decompose_asked(Function& f, const Desires& desires) {
  std::vector<bool> asked(f.values.size());  // by value
  for (size_t n = 0; n < f.nodes.size(); ++n)
    for (const ValueId id : f.nodes[n].outputs)
      asked[static_cast<size_t>(id)] = takes_parts(f.nodes[n], desires.factors(n), desires);
  return decompose(f, [&](const Node& node) {
    return !node.outputs.empty() && asked[static_cast<size_t>(node.outputs[0])];
  });
}

Sharding sharding_of(Function& f, const Ways& ways, const States& states) {
  const AxisSet axes = strategy_axes(f, ways.mesh);
  std::optional<Desires> desires(desires_of(f, ways, states, axes));
  if (decompose_asked(f, *desires)) desires.emplace(desires_of(f, ways, states, axes));
  Placements placements = place_values(f, ways.mesh, *desires, ways.context, axes,
                                       states.empty() ? desires->states() : states);
  check_placements(f, ways.mesh, placements);
  return {std::move(*desires), std::move(placements)};
}

Placements shard(Function& f, const Ways& ways, const States& states) {
  return sharding_of(f, ways, states).placements;
}

AxisSet idle_axes(const Function& f, const Mesh& mesh, const Placements& placements) {
  AxisSet idle = strategy_axes(f, mesh);
  for (const NodePlacement& node : placements.nodes)
    for (const std::vector<Placement>& list : {node.in, node.out})
      for (const Placement& p : list) idle &= ~p.split_axes();
  return idle;
}

}  // namespace tutti::shard
