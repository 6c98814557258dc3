// SPDX-License-Identifier: Apache-2.0
#include "ops/decompose.h"

#include <numeric>

#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Writes normalizations and softmax as elementwise functions and reductions, which fuse. They
// compute in f32 (f64 for f64) and round once, as the operators do.
class Decomposer {
 public:
  explicit Decomposer(Function& f) : f_(f) {}

  bool run(const std::function<bool(const Node&)>& wanted) {
    Function old = std::move(f_);
    f_ = {.name = old.name,
          .values = old.values,
          .inputs = old.inputs,
          .outputs = old.outputs,
          .updates = old.updates,
          .names_made = old.names_made};
    bool changed = false;
    for (Node& node : old.nodes) {
      scope_ = node.scope;
      const ValueId result = wanted(node) ? rewrite(node) : kNone;
      if (result == kNone) {
        for (ValueId id : node.outputs)
          f_.value(id).producer = static_cast<int32_t>(f_.nodes.size());
        f_.nodes.push_back(std::move(node));
        continue;
      }
      changed = true;
      // The last node made takes over the old value, so that its users need no change.
      Node& last = f_.nodes.back();
      f_.value(result).producer = kNone;
      last.outputs[0] = node.outputs[0];
      f_.value(node.outputs[0]).producer = static_cast<int32_t>(f_.nodes.size()) - 1;
    }
    return changed;
  }

 private:
  ValueId rewrite(const Node& node) {
    if (const auto* op = node.op.as<Softmax>()) return softmax(node, *op);
    if (const auto* op = node.op.as<LayerNorm>()) return layer_norm(node, *op);
    if (const auto* op = node.op.as<RmsNorm>()) return rms_norm(node, *op);
    if (const auto* op = node.op.as<GroupNorm>()) return group_norm(node, *op);
    return kNone;
  }

  ValueId add(Op op, std::vector<ValueId> in) { return f_.add1(std::move(op), in, {}, scope_); }
  ValueId apply(Elementwise fn, ValueId a) { return add(ElementwiseOp{fn}, {a}); }
  ValueId apply(Elementwise fn, ValueId a, ValueId b) { return add(ElementwiseOp{fn}, {a, b}); }
  ValueId cast(ValueId id, DType dtype) {
    return f_.type(id).dtype == dtype ? id : add(Cast{dtype}, {id});
  }
  ValueId wide(ValueId id) {
    return cast(id, f_.type(id).dtype == DType::f64 ? DType::f64 : DType::f32);
  }
  ValueId reduce(const char* fn, ValueId id, std::vector<int64_t> axes) {
    return add(Reduce{fn, std::move(axes), true}, {id});
  }
  ValueId number(double value, ValueId like) {
    return add(Full{value, f_.type(like).dtype, {}}, {});
  }
  // The result must come from a node made last: a cast, even to the same type.
  ValueId finish(ValueId id, ValueId like) { return add(Cast{f_.type(like).dtype}, {id}); }

  std::vector<int64_t> last_axes(ValueId id, int64_t count) {
    std::vector<int64_t> axes(static_cast<size_t>(count));
    std::iota(axes.begin(), axes.end(), f_.type(id).rank() - count);
    return axes;
  }

  ValueId softmax(const Node& node, const Softmax& op) {
    // The maximum of nothing has no value.
    if (elements(f_.type(node.inputs[0]).shape) == Dim(0)) return kNone;
    const ValueId x = wide(node.inputs[0]);
    const ValueId shifted = apply(Elementwise::sub, x, reduce("max", x, {op.axis}));
    const ValueId e = apply(Elementwise::exp, shifted);
    const ValueId sum = reduce("sum", e, {op.axis});
    const ValueId y = op.log ? apply(Elementwise::sub, shifted, apply(Elementwise::log, sum))
                             : apply(Elementwise::div, e, sum);
    return finish(y, node.inputs[0]);
  }

  // (x - mean) / sqrt(mean((x - mean)^2) + eps)
  ValueId standardize(ValueId x, const std::vector<int64_t>& axes, double eps) {
    const ValueId centered = apply(Elementwise::sub, x, reduce("mean", x, axes));
    return root_mean_scale(centered, axes, eps);
  }

  ValueId root_mean_scale(ValueId x, const std::vector<int64_t>& axes, double eps) {
    const ValueId mean = reduce("mean", apply(Elementwise::mul, x, x), axes);
    const ValueId scale =
        apply(Elementwise::rsqrt, apply(Elementwise::add, mean, number(eps, mean)));
    return apply(Elementwise::mul, x, scale);
  }

  ValueId layer_norm(const Node& node, const LayerNorm& op) {
    const ValueId x = wide(node.inputs[0]);
    ValueId y = standardize(x, last_axes(x, op.axes), op.eps);
    if (node.inputs.size() > 1) y = apply(Elementwise::mul, y, wide(node.inputs[1]));
    if (node.inputs.size() > 2) y = apply(Elementwise::add, y, wide(node.inputs[2]));
    return finish(y, node.inputs[0]);
  }

  ValueId rms_norm(const Node& node, const RmsNorm& op) {
    const ValueId x = wide(node.inputs[0]);
    ValueId y = root_mean_scale(x, last_axes(x, op.axes), op.eps);
    if (node.inputs.size() > 1) y = apply(Elementwise::mul, y, wide(node.inputs[1]));
    return finish(y, node.inputs[0]);
  }

  ValueId group_norm(const Node& node, const GroupNorm& op) {
    const Shape shape = f_.type(node.inputs[0]).shape;
    const Dim group = floor_div(shape[1], op.groups);
    Dim space = 1;
    for (size_t i = 2; i < shape.size(); ++i) space = space * shape[i];
    const ValueId x = add(Reshape{{shape[0], op.groups, group, space}}, {wide(node.inputs[0])});
    ValueId y = add(Reshape{shape}, {standardize(x, {2, 3}, op.eps)});
    Shape per_channel(shape.size() - 1, 1);
    per_channel[0] = shape[1];
    auto channel = [&](ValueId id) { return add(Reshape{per_channel}, {wide(id)}); };
    if (node.inputs.size() > 1) y = apply(Elementwise::mul, y, channel(node.inputs[1]));
    if (node.inputs.size() > 2) y = apply(Elementwise::add, y, channel(node.inputs[2]));
    return finish(y, node.inputs[0]);
  }

  Function& f_;
  std::string scope_;
};

}  // namespace

bool decompose(Function& f, const std::function<bool(const Node&)>& wanted) {
  return Decomposer(f).run(wanted);
}

}  // namespace tutti
