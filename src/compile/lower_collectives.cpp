// SPDX-License-Identifier: Apache-2.0
#include <numeric>
#include <utility>

#include "compile/pass.h"
#include "ops/collectives.h"
#include "ops/constant.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Writes collectives on any axis as ones on axis 0 between views. Blocks become a first axis of
// their own: [outer, n, rest] is what is cut or joined, [n, outer, rest] what ranks exchange.
class Lowerer {
 public:
  explicit Lowerer(Function& f) : f_(f), replaced_(f.values.size()) {
    std::iota(replaced_.begin(), replaced_.end(), 0);
  }

  bool run() {
    std::vector<Node> old = std::move(f_.nodes);
    f_.nodes.clear();
    bool changed = false;
    for (Node& node : old) {
      for (ValueId& id : node.inputs) id = replaced_[static_cast<size_t>(id)];
      scope_ = node.scope;
      const ValueId result = lower(node);
      if (result == kNone) {
        push(std::move(node));
        continue;
      }
      changed = true;
      replaced_[static_cast<size_t>(node.outputs[0])] = result;
      f_.value(node.outputs[0]).producer = kNone;
    }
    for (Output& output : f_.outputs)
      if (output.value != kNone) output.value = replaced_[static_cast<size_t>(output.value)];
    for (Update& update : f_.updates) update.value = replaced_[static_cast<size_t>(update.value)];
    return changed;
  }

 private:
  void push(Node node) {
    for (ValueId id : node.outputs) f_.value(id).producer = static_cast<int32_t>(f_.nodes.size());
    f_.nodes.push_back(std::move(node));
  }

  // The value in place of a node's result, or kNone when the node stays.
  ValueId lower(const Node& node) {
    if (const auto* op = node.op.as<RankInGroup>())
      return op->size == 1 ? add(Full{0, DType::i64, {}}, {}) : kNone;
    const RankList* where = rank_list(node.op);
    if (where == nullptr) return kNone;
    // With lists there are ranks in none, whose results are zeros.
    if (where->size == 1 && where->ranks.empty()) return node.inputs[0];
    if (const auto* op = node.op.as<AllGather>()) return join(node, *op);
    if (const auto* op = node.op.as<GatherTo>()) return join(node, *op);
    if (const auto* op = node.op.as<ReduceScatter>()) return cut(node, *op);
    if (const auto* op = node.op.as<ScatterFrom>()) return cut(node, *op);
    if (const auto* op = node.op.as<AllToAll>()) return exchange(node, *op);
    if (const auto* op = node.op.as<AllToAllV>()) return exchange(node, *op);
    return kNone;
  }

  template <class T>
  ValueId join(const Node& node, T op) {
    const int64_t axis = std::exchange(op.axis, 0);
    if (axis == 0) return kNone;
    const ValueId x = node.inputs[0];
    const ValueId y = add(op, {reshape(x, {1, elements(f_.type(x).shape)})});
    return back(y, axis, op.size, node);
  }

  template <class T>
  ValueId cut(const Node& node, T op) {
    const int64_t axis = std::exchange(op.axis, 0);
    if (axis == 0) return kNone;
    const ValueId y = add(op, {front(node.inputs[0], axis, op.size)});
    return reshape(y, f_.type(node.outputs[0]).shape);
  }

  ValueId exchange(const Node& node, AllToAll op) {
    const int64_t from = std::exchange(op.split_axis, 0), to = std::exchange(op.concat_axis, 0);
    if (from == 0 && to == 0) return kNone;
    // How many blocks there are is not known where the size is not; then each index is one.
    const Dim n = op.size == 0 ? extent(node.inputs[0], from) : Dim(op.size);
    return back(add(op, {front(node.inputs[0], from, n)}), to, n, node);
  }

  ValueId exchange(const Node& node, AllToAllV op) {
    const int64_t axis = std::exchange(op.axis, 0);
    if (axis == 0) return kNone;
    const ValueId x = node.inputs[0];
    const ValueId y = add(op, {front(x, axis, extent(x, axis))});
    return back(y, axis, extent(node.outputs[0], axis), node);
  }

  // x [outer, n * m, inner] as [n, outer, m * inner], where `axis` is the one of n * m.
  ValueId front(ValueId x, int64_t axis, const Dim& n) {
    const auto [outer, rest] = around(f_.type(x).shape, axis, n);
    if (outer == Dim(1)) return reshape(x, {n, rest});
    return add(Permute{{1, 0, 2}}, {reshape(x, {outer, n, rest})});
  }

  // y [n, outer, m * inner] as the result of a node, [outer, n * m, inner].
  ValueId back(ValueId y, int64_t axis, const Dim& n, const Node& node) {
    const Shape& shape = f_.type(node.outputs[0]).shape;
    const auto [outer, rest] = around(shape, axis, n);
    if (outer != Dim(1)) y = add(Permute{{1, 0, 2}}, {reshape(y, {n, outer, rest})});
    return reshape(y, f_.type(node.outputs[0]).shape);
  }

  // Elements before an axis of n * m, and m times those behind it.
  static std::pair<Dim, Dim> around(const Shape& shape, int64_t axis, const Dim& n) {
    Dim outer = 1, rest = 1;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (static_cast<int64_t>(i) < axis) outer = outer * shape[i];
      if (static_cast<int64_t>(i) > axis) rest = rest * shape[i];
    }
    const Dim& extent = shape[static_cast<size_t>(axis)];
    return {outer, extent == n ? rest : rest * floor_div(extent, n)};
  }

  Dim extent(ValueId id, int64_t axis) const {
    return f_.type(id).shape[static_cast<size_t>(axis)];
  }
  ValueId reshape(ValueId x, Shape shape) { return add(Reshape{std::move(shape)}, {x}); }
  ValueId add(Op op, std::vector<ValueId> in) {
    return f_.add1(std::move(op), std::move(in), {}, scope_);
  }

  Function& f_;
  std::vector<ValueId> replaced_;  // by value of the function as it was
  std::string scope_;
};

}  // namespace

bool lower_collectives(Compilation& c) { return Lowerer(c.function).run(); }

}  // namespace tutti
