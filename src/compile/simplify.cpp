// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "compile/pass.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/views.h"

namespace tutti {
namespace {

// The value that a node's only output equals, or kNone.
ValueId same_as(const Function& f, const Node& node) {
  if (node.outputs.size() != 1 || node.inputs.empty()) return kNone;
  const ValueId in = node.inputs[0];
  const bool same_type = f.type(in) == f.type(node.outputs[0]);
  if (same_type && (node.op.as<Reshape>() || node.op.as<Expand>() || node.op.as<Cast>())) return in;
  if (const auto* permute = node.op.as<Permute>()) {
    std::vector<int64_t> identity(permute->axes.size());
    std::iota(identity.begin(), identity.end(), 0);
    if (permute->axes == identity) return in;
  }
  if (const auto* slice = node.op.as<Slice>(); slice && same_type && slice->step == 1) return in;
  if (node.op.as<Concat>() && node.inputs.size() == 1) return in;
  return kNone;
}

// The number a value holds everywhere, when it is a Full (through views).
const Full* constant_of(const Function& f, ValueId id) {
  const Node* node = f.producer(id);
  while (node != nullptr && (node->op.as<Reshape>() || node->op.as<Expand>()))
    node = f.producer(node->inputs[0]);
  return node ? node->op.as<Full>() : nullptr;
}

// x * 1, x / 1, x + 0 and x - 0 of floats give x. (x + 0 turns -0 into 0: left alone.)
ValueId neutral(const Function& f, const Node& node) {
  const auto* op = node.op.as<ElementwiseOp>();
  if (op == nullptr || node.inputs.size() != 2) return kNone;
  const TensorType& out = f.type(node.outputs[0]);
  if (op->fn != Elementwise::mul && op->fn != Elementwise::div) return kNone;
  for (int side = op->fn == Elementwise::mul ? 0 : 1; side < 2; ++side) {
    const Full* number = constant_of(f, node.inputs[static_cast<size_t>(side)]);
    const ValueId other = node.inputs[static_cast<size_t>(1 - side)];
    if (number != nullptr && number->value == 1 && f.type(other) == out) return other;
  }
  return kNone;
}

}  // namespace

bool simplify(Compilation& c) {
  Function& f = c.function;
  std::vector<ValueId> replaced(f.values.size());
  std::iota(replaced.begin(), replaced.end(), 0);
  bool changed = false;
  for (Node& node : f.nodes) {
    for (ValueId& id : node.inputs) id = replaced[static_cast<size_t>(id)];
    // A reshape of a reshape is one reshape.
    if (node.op.as<Reshape>()) {
      const Node* before = f.producer(node.inputs[0]);
      if (before != nullptr && before->op.as<Reshape>()) {
        node.inputs[0] = before->inputs[0];
        changed = true;
      }
    }
    ValueId same = same_as(f, node);
    if (same == kNone) same = neutral(f, node);
    if (same == kNone) continue;
    replaced[static_cast<size_t>(node.outputs[0])] = same;
    changed = true;
  }
  for (Output& output : f.outputs)
    if (output.value != kNone) output.value = replaced[static_cast<size_t>(output.value)];
  for (Update& update : f.updates) update.value = replaced[static_cast<size_t>(update.value)];
  return changed;
}

}  // namespace tutti
