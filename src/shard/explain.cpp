// SPDX-License-Identifier: Apache-2.0
#include "shard/explain.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "shard/factors.h"

namespace tutti::shard {
namespace {

class Explainer {
 public:
  Explainer(const Function& f, const Mesh& mesh, const Desires& desires,
            const Placements& placements)
      : f_(f), mesh_(mesh), desires_(desires), placements_(placements) {}

  std::vector<std::string> run(ValueId value) {
    const Placement& p = at(value);
    const Node* node = f_.producer(value);
    if (const auto reason = node ? reason_to_run_whole(node->op) : ""; !reason.empty())
      say(node_text(*node), " runs whole on all ranks: ", reason);
    for (int d = 0; d < f_.type(value).rank(); ++d) explain_dim(value, d);
    explain_settling(value);
    explain_keys(value);
    if (p.partial != 0)
      say("a sum over ", mesh_.text(p.partial), ": ", made_by(value),
          " gives addends, which are added where they are needed");
    if (lines_.empty()) say("whole on all ranks: nothing asked for a part of it");
    return std::move(lines_);
  }

 private:
  template <class... T>
  void say(const T&... parts) {
    lines_.push_back(join(parts...));
  }
  const Placement& at(ValueId value) const {
    return placements_.values[static_cast<size_t>(value)];
  }
  std::string node_text(const Node& node) const {
    return join(node.op.name(), node.outputs.empty() ? "" : " " + f_.value(node.outputs[0]).name,
                node.scope.empty() ? "" : " (" + node.scope + ")");
  }
  std::string made_by(ValueId value) const {
    const Node* node = f_.producer(value);
    if (node != nullptr) return node_text(*node);
    const ResidentId resident = f_.value(value).resident;
    const char* kind = resident == kNone                       ? "input "
                       : placements_.states.contains(resident) ? "state "
                                                               : "weight ";
    return join(kind, f_.value(value).name);
  }
  std::string table_text(const Table& table) const {
    return join(mesh_.text(table.axes()), " ", table.text(mesh_));
  }

  void explain_dim(ValueId value, int dim) {
    const auto& table = at(value).dims[static_cast<size_t>(dim)];
    const auto& wanted = desires_.at(value, dim);
    if (table && wanted && *table == *wanted) {
      say("dimension ", dim, " is ", table_text(*table), ", as was asked for");
      trace(value, dim);
    } else if (table) {
      say("dimension ", dim, " is ", table_text(*table));
      follow(value, dim);
    } else if (wanted && f_.producer(value) == nullptr) {
      say("dimension ", dim, " is given whole to all ranks; who reads it takes ",
          table_text(*wanted), ", as was asked for");
      trace(value, dim);
    } else if (wanted) {
      say("dimension ", dim, " is whole, though ", table_text(*wanted),
          " was asked for: ", made_by(value),
          " needs or gives all of it, or other dimensions use these axes");
      trace(value, dim);
    }
  }

  // What becomes of a result at once.
  void explain_settling(ValueId value) {
    const Node* node = f_.producer(value);
    if (node == nullptr) return;
    const auto at_output =
        std::find(node->outputs.begin(), node->outputs.end(), value) - node->outputs.begin();
    const NodePlacement& placed = placements_.nodes[static_cast<size_t>(node - f_.nodes.data())];
    const Placement& given = placed.out[static_cast<size_t>(at_output)];
    // Those of a product are added before its bias.
    const AxisSet added = placed.reduced_within | (given.partial & ~at(value).partial);
    if (added != 0)
      say("addends of ", mesh_.text(added), " from ", node_text(*node), " are added at once");
    if (given.dims != at(value).dims)
      say(node_text(*node), " gives ", to_string(given, mesh_), ", which is exchanged at once");
  }

  // How attention meets keys that other ranks have.
  void explain_keys(ValueId value) {
    const Node* node = f_.producer(value);
    if (node == nullptr || !node->op.as<Attention>()) return;
    const NodePlacement& placed = placements_.nodes[static_cast<size_t>(node - f_.nodes.data())];
    const auto& keys = placed.in[1].dims[2];
    if (!keys) return;
    if (placed.travels != 0)
      say("keys and values are ", table_text(*keys), ", and go around ", mesh_.text(placed.travels),
          " as far as queries see them");
    else
      say("each rank gets the keys and values that its queries see at once: ", table_text(*keys));
  }

  // The way of a table that was asked for, back to its seed.
  void trace(ValueId value, int dim) {
    for (;;) {
      const Desires::Origin& origin = desires_.origin(value, dim);
      if (origin.value == kNone) {
        say("  asked for at ", made_by(value), ", dimension ", dim, ": ", origin.reason);
        return;
      }
      if (origin.node == Desires::kUpdate) {
        const bool reads = f_.value(value).resident != kNone;
        say("  through the update of state ", f_.value(reads ? value : origin.value).name, " from ",
            f_.value(origin.value).name, ", dimension ", origin.dim);
        value = origin.value;
        dim = origin.dim;
        continue;
      }
      const Node& node = f_.nodes[origin.node];
      const bool backward =
          std::find(node.outputs.begin(), node.outputs.end(), origin.value) != node.outputs.end();
      say("  through ", node_text(node), " from ",
          backward ? "its result" : f_.value(origin.value).name, ", dimension ", origin.dim);
      value = origin.value;
      dim = origin.dim;
    }
  }

  // A table that nothing asked for: that of an operand.
  void follow(ValueId value, int dim) {
    for (;;) {
      const auto& table = at(value).dims[static_cast<size_t>(dim)];
      const auto& wanted = desires_.at(value, dim);
      if (wanted && *wanted == *table) return trace(value, dim);
      const Node* node = f_.producer(value);
      if (node == nullptr) return say("  so ", made_by(value), " is given out");
      const auto n = static_cast<size_t>(node - f_.nodes.data());
      const auto source = operand(n, table->axes());
      if (!source) return say("  ", node_text(*node), " gives it so");
      say("  ", node_text(*node), " takes it from ", f_.value(source->first).name, ", dimension ",
          source->second);
      value = source->first;
      dim = source->second;
    }
  }

  // An operand of a node that is split along some of these axes, where it comes from.
  std::optional<std::pair<ValueId, int>> operand(size_t n, AxisSet axes) const {
    for (const ValueId id : f_.nodes[n].inputs) {
      const Placement& p = at(id);
      for (size_t d = 0; d < p.dims.size(); ++d)
        if (p.dims[d] && (p.dims[d]->axes() & axes) != 0) return {{id, static_cast<int>(d)}};
    }
    return std::nullopt;
  }

  const Function& f_;
  const Mesh& mesh_;
  const Desires& desires_;
  const Placements& placements_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> explain(const Function& f, const Mesh& mesh, const Desires& desires,
                                 const Placements& placements, ValueId value) {
  return Explainer(f, mesh, desires, placements).run(value);
}

}  // namespace tutti::shard
