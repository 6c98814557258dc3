// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "compile/pass.h"
#include "ops/attention.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Finds heads that are repeated one by one, in whatever way a model writes it, and leads attention
// to them.
class HeadSharer {
 public:
  explicit HeadSharer(Function& f) : f_(f) {}

  bool run() {
    std::vector<Node> old = std::exchange(f_.nodes, {});
    bool changed = false;
    for (Node& node : old) {
      if (node.op.as<Attention>()) changed = share(node) || changed;
      append(std::move(node));
    }
    return changed;
  }

 private:
  // A value whose indices of one axis stand for `times` of another's, one after the other; the
  // operators, last first, that lead from it to the other.
  struct Source {
    ValueId value = kNone;
    int64_t times = 1;
    std::vector<Op> then;
  };

  const Shape& shape(ValueId id) const { return f_.type(id).shape; }
  int64_t extent(ValueId id, size_t axis) const { return shape(id)[axis].value(); }

  const Node* producer(ValueId id) const { return f_.producer(id); }

  void append(Node node) {
    for (const ValueId id : node.outputs)
      f_.value(id).producer = static_cast<int32_t>(f_.nodes.size());
    f_.nodes.push_back(std::move(node));
  }

  bool share(Node& node) {
    Source k = source(node.inputs[1], 1), v = source(node.inputs[2], 1);
    if (k.times == 1 || k.times != v.times) return false;
    node.inputs[1] = made(k, node.scope);
    node.inputs[2] = made(v, node.scope);
    return true;
  }

  ValueId made(const Source& source, const std::string& scope) {
    ValueId id = source.value;
    for (size_t i = source.then.size(); i-- > 0;) {
      const Op& op = source.then[i];
      const Node* before = producer(id);
      if (op.as<Reshape>() && before != nullptr && before->op.as<Reshape>()) id = before->inputs[0];
      const bool same = (op.as<Reshape>() && op.as<Reshape>()->shape == shape(id)) ||
                        (op.as<Expand>() && op.as<Expand>()->shape == shape(id));
      if (!same) id = f_.add1(op, {id}, "heads", scope);
    }
    return id;
  }

  Source source(ValueId id, size_t axis) const {
    const Node* node = producer(id);
    if (node == nullptr) return {id};
    if (const auto* permute = node->op.as<Permute>())
      return behind(*node, static_cast<size_t>(permute->axes[axis]));
    if (node->op.as<Cast>()) return behind(*node, axis);
    if (node->op.as<Expand>()) return spread(*node, axis);
    if (node->op.as<Reshape>()) return merged(*node, axis);
    const auto* take = node->op.as<Take>();
    const auto* index = node->op.as<Index>();
    const int64_t picked = take != nullptr                               ? take->axis
                           : index != nullptr && index->axes.size() == 1 ? index->axes[0]
                                                                         : -1;
    if (picked == static_cast<int64_t>(axis)) return listed(*node, axis);
    return {id};
  }

  // Through an operator that leaves the indices of the axis as they are.
  Source behind(const Node& node, size_t axis) const {
    Source found = source(node.inputs[0], axis);
    if (found.times == 1) return {node.outputs[0]};
    found.then.insert(found.then.begin(), node.op);
    return found;
  }

  // One head for all.
  Source spread(const Node& node, size_t axis) const {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    const bool same_rank = shape(x).size() == shape(y).size();
    if (!same_rank || extent(x, axis) != 1 || extent(y, axis) == 1) return {y};
    Shape one = shape(y);
    one[axis] = Dim(1);
    return {x, extent(y, axis), {Expand{one}}};
  }

  // [.., g, r, ..] as [.., g * r, ..], where each of the r is the same.
  Source merged(const Node& node, size_t axis) const {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    const Node* expand = producer(x);
    const Shape &wide = shape(x), &all = shape(y);
    if (expand == nullptr || !expand->op.as<Expand>() || wide.size() != all.size() + 1) return {y};
    const Shape& narrow = shape(expand->inputs[0]);
    if (narrow.size() != wide.size() || narrow[axis + 1] != Dim(1)) return {y};
    Shape joined = wide;
    joined[axis] = wide[axis] * wide[axis + 1];
    joined.erase(joined.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
    if (joined != all || wide[axis + 1] == Dim(1)) return {y};
    Shape once = wide, own = narrow;
    once.erase(once.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
    own.erase(own.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
    return {expand->inputs[0], wide[axis + 1].value(), {Expand{once}, Reshape{own}}};
  }

  // Picked by a list 0, 0, 1, 1, ... of constants.
  Source listed(const Node& node, size_t axis) const {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    const Node* list = producer(node.inputs[1]);
    const auto* constant = list != nullptr ? list->op.as<Constant>() : nullptr;
    if (constant == nullptr || constant->value.rank() != 1) return {y};
    const int64_t heads = extent(x, axis), count = constant->value.elements();
    if (heads == 0 || count % heads != 0) return {y};
    const Tensor picks = cast(constant->value, DType::i64);
    for (int64_t i = 0; i < count; ++i)
      if (picks.as<int64_t>()[i] != i / (count / heads)) return {y};
    return {x, count / heads, {}};
  }

  Function& f_;
};

}  // namespace

bool share_heads(Compilation& c) {
  if (!c.options.fuse && c.program.mesh.empty()) return false;
  return HeadSharer(c.function).run();
}

}  // namespace tutti
