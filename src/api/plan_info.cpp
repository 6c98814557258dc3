// SPDX-License-Identifier: Apache-2.0
#include "api/plan_info.h"

#include <algorithm>
#include <set>

#include "comm/collective.h"
#include "ops/collectives.h"
#include "compile/compile.h"
#include "ops/flops.h"

namespace tutti {
namespace {

InputShapes shapes_of(const std::vector<Port>& ports) {
  InputShapes shapes;
  for (const Port& port : ports) shapes.emplace_back(port.name, port.shape);
  return shapes;
}

std::string types_of(const Step& step) {
  std::string text;
  for (const Operand& operand : step.in)
    text += (text.empty() ? "" : ", ") + describe(operand.dtype, operand.shape);
  text += " ->";
  for (size_t i = 0; i < step.out.size(); ++i)
    text += (i ? ", " : " ") + describe(step.out[i].dtype, step.out[i].shape);
  return text;
}

std::vector<Dims> shapes_of(const std::vector<Operand>& operands) {
  std::vector<Dims> shapes;
  for (const Operand& operand : operands) shapes.push_back(operand.shape);
  return shapes;
}

std::vector<Tensor> layouts_of(const std::vector<Operand>& operands) {
  std::vector<Tensor> tensors;
  for (const Operand& o : operands)
    tensors.push_back({nullptr, o.dtype, o.shape, o.strides, nullptr});
  return tensors;
}

// The list of ranks that has this rank, and what it sends to the others there.
void add_call(const Step& step, int rank, StepInfo& info) {
  const auto call = group_call(step.op, layouts_of(step.in), layouts_of(step.out));
  if (!call) return;
  const std::vector<int64_t>& all = call->where.ranks;
  const auto size = call->where.size != 0 ? static_cast<size_t>(call->where.size) : all.size();
  const auto found = std::find(all.begin(), all.end(), rank);
  if (found == all.end()) return;
  const auto first = static_cast<size_t>(found - all.begin()) / size * size;
  for (size_t i = first; i < std::min(first + size, all.size()); ++i)
    info.ranks.push_back(static_cast<int>(all[i]));
  comm::Collective what = call->what;
  what.sends = call->sends;
  what.receives = call->receives;
  const int position = static_cast<int>(found - all.begin()) % static_cast<int>(size);
  info.bytes_sent =
      static_cast<uint64_t>(comm::sent_elements(what, position, static_cast<int>(size))) *
      size_of(what.dtype);
}

// Bytes of weights that steps read, each once.
size_t weight_bytes(const Program& program, const Plan& plan) {
  using Range = std::tuple<int32_t, int64_t, std::vector<int64_t>>;
  std::set<Range> seen;
  size_t bytes = 0;
  for (const auto* steps : {&plan.prepare, &plan.run})
    for (const Step& step : *steps)
      for (const Operand& o : step.in) {
        if (o.place != Place::resident) continue;
        const Resident& resident = program.graph.residents[static_cast<size_t>(o.index)];
        if (resident.kind == Resident::Kind::carried) continue;
        // Two views of the same elements read them once.
        std::vector<int64_t> extents(o.shape.begin(), o.shape.end());
        std::sort(extents.begin(), extents.end());
        if (seen.emplace(o.index, o.offset, std::move(extents)).second)
          bytes += static_cast<size_t>(elements(o.shape)) * size_of(o.dtype);
      }
  return bytes;
}

size_t state_bytes(const Program& program, int rank) {
  size_t bytes = 0;
  for (size_t i = 0; i < program.graph.residents.size(); ++i) {
    if (program.graph.residents[i].kind != Resident::Kind::carried) continue;
    const TensorType type = local_type(program, static_cast<ResidentId>(i), rank);
    bytes += static_cast<size_t>(elements(type.shape).value()) * size_of(type.dtype);
  }
  return bytes;
}

double flops_on_one_rank(const Program& program, const SymbolValues& symbols) {
  const Function f = function_to_shard(program, symbols, {});
  const auto shapes = [&](const std::vector<ValueId>& ids) {
    std::vector<Dims> list;
    for (const ValueId id : ids) list.push_back(constant_dims(f.type(id).shape));
    return list;
  };
  double sum = 0;
  for (const Node& node : f.nodes) sum += flops(node.op, shapes(node.inputs), shapes(node.outputs));
  return sum;
}

}  // namespace

StepInfo step_info(const Step& step, bool prepare, int rank) {
  StepInfo info;
  info.operation = step.op.name();
  info.implementation = step.implementation;
  info.scope = step.scope;
  info.types = types_of(step);
  info.prepare = prepare;
  info.flops = flops(step.op, shapes_of(step.in), shapes_of(step.out));
  add_call(step, rank, info);
  return info;
}

PlanInfo plan_info(const Program& program, const Plan& plan) {
  PlanInfo info;
  info.rank = plan.rank;
  info.inputs = shapes_of(plan.inputs);
  info.outputs = shapes_of(plan.outputs);
  for (const auto* steps : {&plan.prepare, &plan.run})
    for (const Step& step : *steps)
      info.steps.push_back(step_info(step, steps == &plan.prepare, plan.rank));
  info.activation_bytes = static_cast<size_t>(plan.arena_bytes);
  info.held_bytes = static_cast<size_t>(plan.held_bytes);
  info.state_bytes = state_bytes(program, plan.rank);
  info.weight_bytes = weight_bytes(program, plan);
  info.network_flops = flops_on_one_rank(program, plan.symbols);
  return info;
}

}  // namespace tutti
