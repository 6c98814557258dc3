// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include "compile/pass.h"
#include "core/mapped_file.h"
#include "device/cpu/pool.h"
#include "ops/constant.h"
#include "ops/interpret.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

// A text that is equal for equal computations: names a derived resident.
std::string expression(const Graph& graph, const Function& f, ValueId id) {
  const Value& value = f.value(id);
  if (value.resident != kNone) return graph.residents[static_cast<size_t>(value.resident)].name;
  const Node& node = *f.producer(id);
  std::string text(node.op.name());
  text += '(';
  for (size_t i = 0; i < node.inputs.size(); ++i)
    text += (i ? ", " : "") + expression(graph, f, node.inputs[i]);
  for (const auto& [key, attribute] : node.op.attributes()) text += "; " + key + "=" + attribute;
  for (size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] == id) text += "; #" + std::to_string(i);
  return text + ')';
}

Function& init_function(Graph& graph) {
  for (Function& function : graph.functions)
    if (function.name == "init") return function;
  graph.functions.push_back({.name = "init"});
  return graph.functions.back();
}

// Copies the computation of `id` into `init`; values already there are shared.
class Mover {
 public:
  Mover(Graph& graph, const Function& f) : graph_(graph), f_(f), init_(init_function(graph)) {}

  ResidentId derive(ValueId id) {
    std::string name = expression(graph_, f_, id);
    const ResidentId known = graph_.find_resident(name);
    if (known != kNone) return known;
    const ResidentId made = graph_.add_resident({name, f_.type(id), Resident::Kind::derived, {}});
    init_.updates.push_back({made, copy(id)});
    return made;
  }

 private:
  ValueId copy(ValueId id) {
    auto [at, added] = copied_.try_emplace(id, kNone);
    if (!added) return at->second;
    const Value& value = f_.value(id);
    if (value.resident != kNone)
      return copied_[id] = init_.read(value.resident, value.name, value.type);
    const Node& node = *f_.producer(id);
    std::vector<ValueId> inputs;
    for (ValueId in : node.inputs) inputs.push_back(copy(in));
    const auto outputs = init_.add(node.op, inputs, {}, node.scope);
    for (size_t i = 0; i < outputs.size(); ++i) copied_[node.outputs[i]] = outputs[i];
    return copied_[id];
  }

  Graph& graph_;
  const Function& f_;
  Function& init_;
  std::map<ValueId, ValueId> copied_;
};

// What runs still read: operands of what is not computed before them, and of views of it.
std::vector<bool> read_by_runs(const Function& f, const std::vector<bool>& computed) {
  std::vector<bool> read(f.values.size());
  for (const Output& output : f.outputs)
    if (output.value != kNone) read[static_cast<size_t>(output.value)] = true;
  for (const Update& update : f.updates) read[static_cast<size_t>(update.value)] = true;
  for (size_t n = f.nodes.size(); n-- > 0;) {
    const Node& node = f.nodes[n];
    const auto first = node.outputs.empty() ? 0 : static_cast<size_t>(node.outputs[0]);
    const bool stays =
        node.outputs.empty() || !computed[first] || (is_view(node.op) && read[first]);
    if (!stays) continue;
    for (const ValueId id : node.inputs) read[static_cast<size_t>(id)] = true;
  }
  return read;
}

}  // namespace

bool split_init(Compilation& c) {
  Function& f = c.function;
  Graph& graph = c.program.graph;
  std::vector<bool> fixed(f.values.size()), computed(f.values.size());
  for (size_t i = 0; i < f.values.size(); ++i) {
    const ResidentId resident = f.values[i].resident;
    fixed[i] = resident != kNone &&
               graph.residents[static_cast<size_t>(resident)].kind != Resident::Kind::carried;
  }
  for (const Node& node : f.nodes) {
    bool all = !node.inputs.empty() && !node.op.has_effects(), work = !is_view(node.op);
    for (ValueId id : node.inputs) {
      const Node* from = f.producer(id);
      all = all && (fixed[static_cast<size_t>(id)] || (from && from->op.as<Constant>()));
      work = work || computed[static_cast<size_t>(id)];
    }
    for (ValueId id : node.outputs) {
      fixed[static_cast<size_t>(id)] = all;
      computed[static_cast<size_t>(id)] = all && work;
    }
  }
  // Derive what is computed and used by something that is not; views of it stay behind, free.
  const Function before = f;
  const std::vector<bool> read = read_by_runs(before, computed);
  Mover mover(graph, before);
  bool changed = false;
  auto derived = [&](ValueId id) {
    const Node* node = before.producer(id);
    if (node == nullptr || !computed[static_cast<size_t>(id)] || is_view(node->op)) return id;
    const ResidentId resident = mover.derive(id);
    changed = true;
    return f.read(resident, graph.residents[static_cast<size_t>(resident)].name, before.type(id));
  };
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    const Node& old = before.nodes[n];
    const auto first = old.outputs.empty() ? 0 : static_cast<size_t>(old.outputs[0]);
    const bool moves = !old.outputs.empty() && computed[first];
    if (moves && !(is_view(old.op) && read[first])) continue;
    for (size_t i = 0; i < old.inputs.size(); ++i) f.nodes[n].inputs[i] = derived(old.inputs[i]);
  }
  for (Output& output : f.outputs)
    if (output.value != kNone) output.value = derived(output.value);
  for (Update& update : f.updates) update.value = derived(update.value);
  return changed;
}

namespace {

// `init` reduced to what makes the derived residents that have no bytes.
Function missing_part(const Program& program) {
  Function init{.name = "init"};
  for (const Function& function : program.graph.functions)
    if (function.name == "init") init = function;
  std::erase_if(init.updates, [&](const Update& update) {
    return program.graph.residents[static_cast<size_t>(update.resident)].data.data != nullptr;
  });
  init.remove_dead();
  return init;
}

}  // namespace

std::vector<std::string> missing_weights(const Program& program) {
  const std::vector<Resident>& residents = program.graph.residents;
  std::vector<bool> read(residents.size(), program.plans.empty());
  for (const Value& value : missing_part(program).values)
    if (value.resident != kNone) read[static_cast<size_t>(value.resident)] = true;
  for (const Plan& plan : program.plans)
    for (const auto* steps : {&plan.prepare, &plan.run})
      for (const Step& step : *steps)
        for (const Operand& operand : step.in)
          if (operand.place == Place::resident) read[static_cast<size_t>(operand.index)] = true;
  std::vector<std::string> names;
  for (size_t i = 0; i < residents.size(); ++i)
    if (read[i] && residents[i].kind == Resident::Kind::bound &&
        residents[i].data.data == nullptr && !(elements(residents[i].type.shape) == Dim(0)))
      names.push_back(residents[i].name);
  return names;
}

namespace {

// Of files whose weights were read to derive others from them.
void let_go_of_sources(const Program& program, const Function& init) {
  std::set<std::shared_ptr<const MappedFile>> files;
  for (const Value& value : init.values)
    if (value.resident != kNone)
      files.insert(MappedFile::containing(
          program.graph.residents[static_cast<size_t>(value.resident)].data.data));
  for (const auto& file : files)
    if (file) file->let_go();
}

}  // namespace

void compute_derived(Program& program) {
  const Function init = missing_part(program);
  if (init.updates.empty()) return;
  cpu::Pool pool(cpu::usable_cores());
  std::vector<Tensor> residents;
  for (const Resident& resident : program.graph.residents) residents.push_back(resident.data);
  const std::vector<Tensor> updates = interpret(init, {}, residents, pool).updates;
  for (size_t i = 0; i < init.updates.size(); ++i)
    program.graph.residents[static_cast<size_t>(init.updates[i].resident)].data = updates[i];
  let_go_of_sources(program, init);
}

}  // namespace tutti
