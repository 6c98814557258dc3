// SPDX-License-Identifier: Apache-2.0
#include "ops/conv.h"

#include "compile/pass.h"
#include "device/cpu/packed_matrix.h"
#include "ops/conv_kernel.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Calls change(node) on every node in order; what it adds to the function comes before the node.
template <class F>
bool change_nodes(Function& f, const F& change) {
  std::vector<Node> old = std::move(f.nodes);
  f.nodes.clear();
  bool changed = false;
  for (Node& node : old) {
    changed = change(node) || changed;
    for (ValueId id : node.outputs) f.value(id).producer = static_cast<int32_t>(f.nodes.size());
    f.nodes.push_back(std::move(node));
  }
  return changed;
}

bool is_small_or_f32(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

}  // namespace

bool fuse_convs(Compilation& c) {
  if (!c.options.fuse) return false;
  Function& f = c.function;
  return change_nodes(f, [&](Node& node) {
    const auto* conv = node.op.as<Conv>();
    if (conv == nullptr || !is_small_or_f32(f.type(node.inputs[0]).dtype)) return false;
    FusedConv op{*conv, {{}}, {}, 0};
    if (node.inputs.size() > 2) {
      Shape shape(f.type(node.inputs[0]).shape.size() - 1, 1);
      shape[0] = f.type(node.inputs[2]).shape[0];
      node.inputs[2] = f.add1(Reshape{shape}, {node.inputs[2]}, {}, node.scope);
      op.epilogues[0].push_back({EpilogueStep::Kind::add, 2});
    }
    node.op = std::move(op);
    return true;
  });
}

bool pack_conv_weights(Compilation& c) {
  // oneDNN, where it is wanted, reads weights as they are.
  if (!c.options.fuse || c.options.matmul == "onednn") return false;
  Function& f = c.function;
  const std::vector<bool> fixed = fixed_values(c);
  return change_nodes(f, [&](Node& node) {
    const auto* conv = node.op.as<FusedConv>();
    const ValueId w = node.inputs.size() > 1 ? node.inputs[1] : kNone;
    if (conv == nullptr || !conv->packed.empty() || !fixed[static_cast<size_t>(w)]) return false;
    const auto dims = [&](ValueId id) { return constant_dims(f.type(id).shape); };
    const Dims shape = dims(w);
    if (!cpu::winograd_pays(conv_sizes(*conv, dims(node.inputs[0]), shape, dims(node.outputs[0]))))
      return false;
    FusedConv op = *conv;
    op.packed = to_string(cpu::PackedLayout::of(cpu::current_isa(), DType::f32));
    op.outputs = shape[0];
    const ValueId matrix = f.add1(WinogradWeights{}, {w}, "winograd", node.scope);
    node.inputs[1] = f.add1(PackMatrix{op.packed}, {matrix}, "packed", node.scope);
    node.op = std::move(op);
    return true;
  });
}

}  // namespace tutti
