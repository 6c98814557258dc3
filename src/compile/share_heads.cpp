// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "ops/attention.h"
#include "ops/views.h"

namespace tutti {
namespace {

// The [b, g, t, d] that a [b, g * r, t, d] repeats r times head by head, as models write it:
// reshape, expand to [b, g, r, t, d], reshape. kNone for anything else.
ValueId repeated(const Function& f, ValueId id) {
  const Node* merge = f.producer(id);
  if (merge == nullptr || !merge->op.as<Reshape>()) return kNone;
  const Node* expand = f.producer(merge->inputs[0]);
  if (expand == nullptr || !expand->op.as<Expand>()) return kNone;
  const Node* unsqueeze = f.producer(expand->inputs[0]);
  if (unsqueeze == nullptr || !unsqueeze->op.as<Reshape>()) return kNone;
  const ValueId source = unsqueeze->inputs[0];
  const Shape &all = f.type(id).shape, &wide = f.type(merge->inputs[0]).shape,
              &narrow = f.type(expand->inputs[0]).shape, &own = f.type(source).shape;
  if (all.size() != 4 || wide.size() != 5 || narrow.size() != 5 || own.size() != 4) return kNone;
  const bool repeats = narrow == Shape{own[0], own[1], Dim(1), own[2], own[3]} &&
                       wide == Shape{own[0], own[1], wide[2], own[2], own[3]} &&
                       all == Shape{own[0], own[1] * wide[2], own[2], own[3]};
  return repeats ? source : kNone;
}

}  // namespace

bool share_heads(Compilation& c) {
  if (!c.options.fuse) return false;
  bool changed = false;
  for (Node& node : c.function.nodes) {
    if (!node.op.as<Attention>()) continue;
    const ValueId k = repeated(c.function, node.inputs[1]);
    const ValueId v = repeated(c.function, node.inputs[2]);
    if (k == kNone || v == kNone || c.function.type(k).shape[1] != c.function.type(v).shape[1])
      continue;
    node.inputs[1] = k;
    node.inputs[2] = v;
    changed = true;
  }
  return changed;
}

}  // namespace tutti
