// SPDX-License-Identifier: Apache-2.0
#include "ir/graph.h"

#include <algorithm>
#include <unordered_map>

namespace tutti {

std::string_view to_string(Resident::Kind kind) {
  switch (kind) {
    case Resident::Kind::bound:
      return "bound";
    case Resident::Kind::derived:
      return "derived";
    case Resident::Kind::carried:
      return "carried";
  }
  return "unknown";
}

const Node* Function::producer(ValueId id) const {
  const int32_t node = value(id).producer;
  return node == kNone ? nullptr : &nodes[static_cast<size_t>(node)];
}

ValueId Function::add_input(std::string input_name, TensorType type) {
  const auto id = static_cast<ValueId>(values.size());
  values.push_back({std::move(input_name), std::move(type), kNone, kNone});
  inputs.push_back(id);
  return id;
}

ValueId Function::read(ResidentId resident, const std::string& resident_name,
                       const TensorType& type) {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].resident == resident) return static_cast<ValueId>(i);
  values.push_back({resident_name, type, kNone, resident});
  return static_cast<ValueId>(values.size()) - 1;
}

std::string Function::new_name(std::string_view hint) {
  for (;;) {
    std::string name = join(hint, "_", names_made++);
    const bool taken = std::any_of(inputs.begin(), inputs.end(),
                                   [&](ValueId id) { return value(id).name == name; });
    if (!taken) return name;
  }
}

std::vector<ValueId> Function::add(Op op, std::vector<ValueId> operands, std::string_view hint,
                                   std::string scope) {
  std::vector<TensorType> in;
  for (ValueId id : operands) in.push_back(type(id));
  std::vector<ValueId> results;
  for (TensorType& out : op.infer(in)) {
    const auto id = static_cast<ValueId>(values.size());
    values.push_back({new_name(hint.empty() ? op.name() : hint), std::move(out),
                      static_cast<int32_t>(nodes.size()), kNone});
    results.push_back(id);
  }
  nodes.push_back({std::move(op), std::move(operands), results, std::move(scope)});
  return results;
}

ValueId Function::add1(Op op, std::vector<ValueId> operands, std::string_view hint,
                       std::string scope) {
  const auto results = add(std::move(op), std::move(operands), hint, std::move(scope));
  require(results.size() == 1, Errc::internal, nodes.back().op.name(), ": ", results.size(),
          " outputs, one was wanted");
  return results[0];
}

void Function::replace(ValueId from, ValueId to) {
  for (Node& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  for (Output& output : outputs)
    if (output.value == from) output.value = to;
  for (Update& update : updates)
    if (update.value == from) update.value = to;
}

std::vector<int> Function::use_counts() const {
  std::vector<int> counts(values.size());
  auto use = [&](ValueId id) {
    if (id != kNone) ++counts[static_cast<size_t>(id)];
  };
  for (const Node& node : nodes)
    for (ValueId id : node.inputs) use(id);
  for (const Output& output : outputs) use(output.value);
  for (const Update& update : updates) use(update.value);
  return counts;
}

void Function::remove_dead() {
  std::vector<bool> live(values.size());
  auto mark = [&](ValueId id) {
    if (id != kNone) live[static_cast<size_t>(id)] = true;
  };
  for (const Output& output : outputs) mark(output.value);
  for (const Update& update : updates) mark(update.value);
  std::vector<bool> keep(nodes.size());
  for (size_t n = nodes.size(); n-- > 0;) {
    keep[n] = nodes[n].op.has_effects();
    for (ValueId id : nodes[n].outputs) keep[n] = keep[n] || live[static_cast<size_t>(id)];
    if (!keep[n]) continue;
    for (ValueId id : nodes[n].inputs) mark(id);
  }
  for (ValueId id : inputs) mark(id);
  for (size_t n = 0; n < nodes.size(); ++n)
    if (keep[n])
      for (ValueId id : nodes[n].outputs) mark(id);

  std::vector<ValueId> renamed(values.size(), kNone);
  std::vector<Value> kept;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!live[i]) continue;
    renamed[i] = static_cast<ValueId>(kept.size());
    kept.push_back(std::move(values[i]));
  }
  auto rename = [&](ValueId& id) {
    if (id != kNone) id = renamed[static_cast<size_t>(id)];
  };
  values = std::move(kept);
  std::vector<Node> kept_nodes;
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (!keep[n]) continue;
    for (ValueId& id : nodes[n].inputs) rename(id);
    for (ValueId& id : nodes[n].outputs) {
      rename(id);
      value(id).producer = static_cast<int32_t>(kept_nodes.size());
    }
    kept_nodes.push_back(std::move(nodes[n]));
  }
  nodes = std::move(kept_nodes);
  for (ValueId& id : inputs) rename(id);
  for (Output& output : outputs) rename(output.value);
  for (Update& update : updates) rename(update.value);
}

Function& Graph::function(std::string_view wanted) {
  for (Function& function : functions)
    if (function.name == wanted) return function;
  fail(Errc::not_found, "function ", wanted, " is not in the graph");
}

const Function& Graph::function(std::string_view wanted) const {
  return const_cast<Graph*>(this)->function(wanted);
}

ResidentId Graph::find_resident(std::string_view wanted) const {
  for (size_t i = 0; i < residents.size(); ++i)
    if (residents[i].name == wanted) return static_cast<ResidentId>(i);
  return kNone;
}

ResidentId Graph::add_resident(Resident resident) {
  residents.push_back(std::move(resident));
  return static_cast<ResidentId>(residents.size()) - 1;
}

}  // namespace tutti
