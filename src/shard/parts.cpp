// SPDX-License-Identifier: Apache-2.0
#include "shard/parts.h"

#include <algorithm>
#include <cmath>

#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/indexing.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace tutti::shard {
namespace {

class OnPart {
 public:
  OnPart(Function& local, const Held& x, const std::vector<ValueId>& in, const std::string& name,
         const std::string& scope)
      : f_(local), x_(x), in_(in), name_(name), scope_(scope) {}

  std::vector<ValueId> run(const Op& op) {
    if (const auto* take = op.as<Take>()) return indexed(op, {take->axis});
    if (const auto* index = op.as<Index>()) return indexed(op, index->axes);
    if (const auto* gather = op.as<Gather>()) return indexed(op, {gather->axis});
    if (const auto* reduce = op.as<Reduce>()) return {reduced(*reduce)};
    return f_.add(op, in_, name_, scope_);
  }

 private:
  ValueId add(Op op, std::vector<ValueId> in) {
    return f_.add1(std::move(op), std::move(in), name_, scope_);
  }
  ValueId add(Elementwise fn, std::vector<ValueId> in) {
    return add(ElementwiseOp{fn}, std::move(in));
  }
  ValueId number(double value, DType dtype) { return add(Full{value, dtype, {}}, {}); }
  DType dtype(ValueId id) const { return f_.type(id).dtype; }
  bool nothing_held(const std::vector<int64_t>& axes) const {
    return std::any_of(axes.begin(), axes.end(), [&](int64_t axis) {
      return x_.ranges[static_cast<size_t>(axis)].empty() && x_.extents[static_cast<int>(axis)] > 0;
    });
  }
  ValueId filled(const Op& op, DType dtype, double value) {
    std::vector<TensorType> types;
    for (const ValueId id : in_) types.push_back(f_.type(id));
    return add(Full{value, dtype, op.infer(types)[0].shape}, {});
  }

  // Zeros where an index points to what other ranks hold.
  std::vector<ValueId> indexed(const Op& op, const std::vector<int64_t>& axes) {
    if (nothing_held(axes)) return {filled(op, dtype(in_[0]), 0)};
    std::vector<ValueId> in = in_;
    ValueId held = kNone;
    for (size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<int>(axes[i]);
      if (x_.all(axis)) continue;
      const Local found = local_index(in_[i + 1], axis);
      in[i + 1] = found.index;
      held = held == kNone ? found.held : add(Elementwise::logical_and, {held, found.held});
    }
    if (held == kNone) return f_.add(op, in, name_, scope_);
    const ValueId y = add(op, in);
    if (!op.as<Gather>()) {
      const int x_rank = f_.type(in[0]).rank();
      const int kept = x_rank - static_cast<int>(axes.size());
      Shape shape = f_.type(held).shape;
      shape.resize(shape.size() + static_cast<size_t>(kept - place_of_indices(axes)), 1);
      held = add(Reshape{shape}, {held});
    }
    return {add(Elementwise::select, {held, y, number(0, dtype(y))})};
  }

  struct Local {
    ValueId index;  // among what this rank holds
    ValueId held;   // whether it does
  };

  // An index outside of the whole stays what it is, and so is refused.
  Local local_index(ValueId index, int axis) {
    const int64_t extent = x_.extents[axis];
    const auto constant = [&](int64_t n) { return number(static_cast<double>(n), dtype(index)); };
    const ValueId zero = constant(0), end = constant(extent);
    const ValueId counted = add(Elementwise::select, {add(Elementwise::less, {index, zero}),
                                                      add(Elementwise::add, {index, end}), index});
    const ValueId outside = add(
        Elementwise::logical_or,
        {add(Elementwise::less, {counted, zero}), add(Elementwise::greater_equal, {counted, end})});
    Local local{add(Elementwise::select, {outside, index, zero}), kNone};
    int64_t start = 0;
    for (const Range& r : x_.ranges[static_cast<size_t>(axis)].list()) {
      const ValueId here = add(Elementwise::logical_and,
                               {add(Elementwise::greater_equal, {counted, constant(r.begin)}),
                                add(Elementwise::less, {counted, constant(r.end)})});
      const ValueId position = add(Elementwise::add, {counted, constant(start - r.begin)});
      local.index = add(Elementwise::select, {here, position, local.index});
      local.held = local.held == kNone ? here : add(Elementwise::logical_or, {local.held, here});
      start += r.size();
    }
    return local;
  }

  ValueId reduced(const Reduce& op) {
    if (nothing_held(op.axes) && op.fn != "sum") {
      const Op shaped = Reduce{"any", op.axes, op.keep};
      const bool truth = op.fn == "any" || op.fn == "all";
      return filled(shaped, truth ? DType::boolean : dtype(in_[0]), start(op.fn));
    }
    const ValueId y = add(op, in_);
    double part = 1;
    for (const int64_t axis : op.axes)
      part *= static_cast<double>(x_.ranges[static_cast<size_t>(axis)].size()) /
              static_cast<double>(x_.extents[static_cast<int>(axis)]);
    return op.fn != "mean" || part == 1 ? y : add(Elementwise::mul, {y, number(part, dtype(y))});
  }

  // What changes no result of others.
  static double start(std::string_view fn) {
    if (fn == "max") return -INFINITY;
    if (fn == "min") return INFINITY;
    return fn == "prod" || fn == "all" ? 1 : 0;
  }

  Function& f_;
  const Held& x_;
  const std::vector<ValueId>& in_;
  const std::string &name_, &scope_;
};

}  // namespace

std::vector<ValueId> add_on_part(Function& local, const Op& op, const Held& x,
                                 const std::vector<ValueId>& in, const std::string& name,
                                 const std::string& scope) {
  return OnPart(local, x, in, name, scope).run(op);
}

}  // namespace tutti::shard
