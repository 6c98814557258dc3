// SPDX-License-Identifier: Apache-2.0
#include "compile/repack.h"

#include <map>

#include "core/error.h"
#include "core/log.h"
#include "device/cpu/packed_matrix.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/implementation.h"

namespace tutti {
namespace {

// A k x n weight that changes its layout.
struct Change {
  cpu::PackedLayout from, to;
  int64_t k, n;
};

std::optional<Change> change_of(const Function& init, const Node& node, cpu::Isa isa) {
  const auto* pack = node.op.as<PackMatrix>();
  const auto from = pack ? cpu::parse_packed_layout(pack->layout) : std::nullopt;
  if (!from) return std::nullopt;
  const cpu::PackedLayout to = cpu::PackedLayout::of(isa, from->dtype);
  if (to == *from) return std::nullopt;
  const Shape& shape = init.type(node.inputs[0]).shape;
  return Change{*from, to, shape[0].value(), shape[1].value()};
}

// The name tells the computation, so that plans made later find the resident.
void rename(Resident& resident, const Change& change) {
  const std::string from = attribute_text(to_string(change.from));
  const std::string to = attribute_text(to_string(change.to));
  for (size_t at = 0; (at = resident.name.find(from, at)) != std::string::npos; at += to.size())
    resident.name.replace(at, from.size(), to);
}

void repack(Resident& resident, const Change& change) {
  const int64_t count = change.to.elements(change.k, change.n);
  resident.type.shape = {count};
  rename(resident, change);
  if (resident.data.data == nullptr) return;
  require(resident.data.is_contiguous(), Errc::internal, "packed weight ", resident.name,
          " has strides ", resident.data.strides);
  const Tensor packed = Tensor::zeros(change.to.dtype, {count});
  cpu::repack_matrix(change.from, resident.data.data, change.to, packed.data, change.k, change.n);
  resident.data = packed;
}

std::vector<Tensor> layouts(const std::vector<Operand>& operands) {
  std::vector<Tensor> tensors;
  for (const Operand& o : operands) tensors.push_back({nullptr, o.dtype, o.shape, o.strides, {}});
  return tensors;
}

// The step reads a weight that changed.
void update(Step& step, const Change& change) {
  Operand& weight = step.in[1];
  const auto renamed = [&](auto op) {
    op.packed = to_string(change.to);
    return Op(std::move(op));
  };
  const auto* matmul = step.op.as<FusedMatmul>();
  step.op = matmul ? renamed(*matmul) : renamed(*step.op.as<FusedConv>());
  weight.shape = {change.to.elements(change.k, change.n)};
  weight.strides = {1};
  step.implementation = prepare_kernel({step.op, layouts(step.in), layouts(step.out)}).second;
}

bool reads_packed(const Step& step) {
  const auto* matmul = step.op.as<FusedMatmul>();
  const auto* conv = step.op.as<FusedConv>();
  const bool packed = (matmul && !matmul->packed.empty()) || (conv && !conv->packed.empty());
  return packed && step.in[1].place == Place::resident;
}

}  // namespace

bool repack_for(Program& program, cpu::Isa isa) {
  Graph& graph = program.graph;
  Function* init = nullptr;
  for (Function& function : graph.functions)
    if (function.name == "init") init = &function;
  if (init == nullptr) return false;
  std::map<ValueId, Change> values;
  std::map<ResidentId, Change> residents;
  for (Node& node : init->nodes) {
    const auto change = change_of(*init, node, isa);
    if (!change) continue;
    node.op = PackMatrix{to_string(change->to)};
    init->value(node.outputs[0]).type.shape = {change->to.elements(change->k, change->n)};
    values.emplace(node.outputs[0], *change);
  }
  size_t bytes = 0;
  for (const Update& update : init->updates) {
    const auto change = values.find(update.value);
    if (change == values.end()) continue;
    Resident& resident = graph.residents[static_cast<size_t>(update.resident)];
    repack(resident, change->second);
    if (resident.data.data != nullptr) bytes += resident.data.bytes();
    residents.emplace(update.resident, change->second);
  }
  for (Plan& plan : program.plans)
    for (auto* steps : {&plan.prepare, &plan.run})
      for (Step& step : *steps) {
        if (!reads_packed(step)) continue;
        const auto change = residents.find(step.in[1].index);
        if (change != residents.end()) update(step, change->second);
      }
  if (!residents.empty())
    log(LogLevel::info, "packed ", residents.size(), " weights again for ", to_string(isa), ", ",
        bytes_text(bytes));
  return !values.empty();
}

}  // namespace tutti
