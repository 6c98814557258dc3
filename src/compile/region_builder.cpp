// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>

#include "compile/fuse.h"
#include "core/error.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/reduce.h"
#include "ops/view_layout.h"
#include "ops/views.h"

namespace tutti {
namespace {

constexpr size_t kMaxCode = 400;
constexpr int64_t kMaxUnroll = 4;
constexpr int kMaxRestarts = 12;

// An axis of the index space while it is being found. A source is an axis of the outputs or one
// that only a reduction runs over; it is a product of axes, outermost first.
struct Axis {
  int source = 0;
  int64_t extent = 1;
  bool unrolled = false;       // the code is repeated for each position
  std::vector<int64_t> cuts;   // positions where another part begins
  int64_t begin = 0, end = 0;  // the range of the part at hand
  bool reduced = false;
};

// Thrown inside this file only: build again with the axes as they are now.
struct Restart {};
// Thrown inside this file only: this value must be computed into memory first.
struct Obstacle {
  ValueId value;
};

using Indices = std::vector<RegionIndex>;

class Builder {
 public:
  Builder(const Function& f, const std::vector<ValueId>& outputs, const std::set<int32_t>& inlined)
      : f_(f), outputs_(outputs), inlined_(inlined) {
    for (const Dim& extent : f.type(outputs[0]).shape) {
      const int64_t n = extent.value();
      if (n != 1) axes_.push_back({sources_, n});
      ++sources_;
    }
    root_sources_ = sources_;
  }

  BuiltRegion build() {
    for (int attempt = 0; attempt < kMaxRestarts; ++attempt) {
      try {
        return build_once();
      } catch (const Restart&) {
      }
    }
    throw Obstacle{kNone};
  }

 private:
  BuiltRegion build_once() {
    built_ = {};
    for (ValueId id : outputs_) built_.region.types.push_back(f_.type(id));
    std::vector<size_t> cut_axes;
    for (size_t k = 0; k < axes_.size(); ++k) {
      axes_[k].begin = 0, axes_[k].end = axes_[k].extent;
      if (!axes_[k].cuts.empty()) cut_axes.push_back(k);
    }
    for_each_piece(cut_axes, 0);
    return std::move(built_);
  }

  // Builds a part for every combination of ranges of the cut axes.
  void for_each_piece(const std::vector<size_t>& cut_axes, size_t depth) {
    if (depth == cut_axes.size()) {
      build_part();
      return;
    }
    const size_t k = cut_axes[depth];
    std::vector<int64_t> bounds = axes_[k].cuts;
    bounds.insert(bounds.begin(), 0);
    bounds.push_back(axes_[k].extent);
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
      axes_[k].begin = bounds[i], axes_[k].end = bounds[i + 1];
      for_each_piece(cut_axes, depth + 1);
    }
  }

  void build_part() {
    code_.clear();
    memo_.clear();
    std::vector<size_t> unrolled;
    for (size_t k = 0; k < axes_.size(); ++k)
      if (axes_[k].unrolled && axes_[k].source < root_sources_) unrolled.push_back(k);
    std::vector<int64_t> position(axes_.size(), 0);
    for_each_position(unrolled, 0, position, [&] {
      for (size_t o = 0; o < outputs_.size(); ++o) {
        const Indices at = root_indices(position);
        RegionInstruction store{RegionCode::store, f_.type(outputs_[o]).dtype};
        store.a = emit(outputs_[o], at);
        store.operand = static_cast<int32_t>(o);
        store.at = at;
        add(store);
      }
    });
    finish_part();
  }

  template <class F>
  void for_each_position(const std::vector<size_t>& axes, size_t depth,
                         std::vector<int64_t>& position, const F& body) {
    if (depth == axes.size()) return body();
    for (int64_t i = 0; i < axes_[axes[depth]].extent; ++i) {
      position[axes[depth]] = i;
      for_each_position(axes, depth + 1, position, body);
    }
  }

  // Space axes are those not unrolled, the reduced ones last.
  void finish_part() {
    std::vector<size_t> order;
    RegionPart part;
    for (bool reduced : {false, true})
      for (size_t k = 0; k < axes_.size(); ++k)
        if (!axes_[k].unrolled && axes_[k].reduced == reduced) {
          order.push_back(k);
          if (order.size() > Dims::kMaxRank) throw Obstacle{kNone};
          part.space.push_back(axes_[k].end - axes_[k].begin);
          part.lanes += reduced;
        }
    for (RegionInstruction& i : code_)
      for (RegionIndex& index : i.at) {
        std::vector<int64_t> factors;
        for (size_t k : order) factors.push_back(k < index.factors.size() ? index.factors[k] : 0);
        index.factors = std::move(factors);
      }
    part.code = std::move(code_);
    built_.region.parts.push_back(std::move(part));
  }

  // Position of `source` as an index; unrolled axes stand at `position`.
  RegionIndex source_index(int source, const std::vector<int64_t>& position) {
    RegionIndex index{0, std::vector<int64_t>(axes_.size(), 0)};
    int64_t factor = 1;
    for (size_t k = axes_.size(); k-- > 0;) {
      const Axis& axis = axes_[k];
      if (axis.source != source) continue;
      if (axis.unrolled) {
        index.offset += factor * position[k];
      } else {
        index.offset += factor * axis.begin;
        index.factors[k] = factor;
      }
      factor *= axis.extent;
    }
    return index;
  }

  Indices root_indices(const std::vector<int64_t>& position) {
    Indices at;
    for (int source = 0; source < root_sources_; ++source)
      at.push_back(source_index(source, position));
    return at;
  }

  int32_t add(RegionInstruction instruction) {
    if (code_.size() >= kMaxCode) throw Obstacle{current_};
    code_.push_back(std::move(instruction));
    return static_cast<int32_t>(code_.size()) - 1;
  }

  static std::string key(ValueId id, const Indices& at) {
    std::string text = std::to_string(id);
    for (const RegionIndex& index : at) {
      text += '|' + std::to_string(index.offset);
      for (size_t k = 0; k < index.factors.size(); ++k)
        if (index.factors[k] != 0) text += join(',', k, ':', index.factors[k]);
    }
    return text;
  }

  int32_t emit(ValueId id, const Indices& at) {
    const std::string name = key(id, at);
    if (const auto found = memo_.find(name); found != memo_.end()) return found->second;
    const ValueId outer = std::exchange(current_, id);
    const int32_t result = emit_new(id, at);
    current_ = outer;
    memo_.emplace(name, result);
    return result;
  }

  int32_t emit_new(ValueId id, const Indices& at) {
    const Node* node = f_.producer(id);
    const bool computed =
        node != nullptr && inlined_.count(static_cast<int32_t>(node - f_.nodes.data())) > 0;
    if (!computed) return load(id, at);
    const Op& op = node->op;
    if (is_view(op)) return emit_view(*node, at);
    if (op.as<Concat>()) return emit_concat(*node, at);
    if (const auto* reduce = op.as<Reduce>()) return emit_reduce(*node, *reduce, at);
    if (const auto* full = op.as<Full>()) return number(full->value, full->dtype);
    if (const auto* constant = op.as<Constant>())
      return number(cast(constant->value, DType::f64).as<double>()[0], constant->value.dtype);
    RegionInstruction i{op.as<Cast>() ? RegionCode::cast : RegionCode::compute, f_.type(id).dtype};
    if (const auto* elementwise = op.as<ElementwiseOp>()) i.fn = elementwise->fn;
    int32_t* operands[] = {&i.a, &i.b, &i.c};
    for (size_t k = 0; k < node->inputs.size(); ++k)
      *operands[k] = emit(node->inputs[k], broadcast_indices(node->inputs[k], at));
    return add(i);
  }

  int32_t number(double value, DType dtype) {
    RegionInstruction i{RegionCode::constant, dtype};
    i.value = value;
    return add(i);
  }

  int32_t load(ValueId id, const Indices& at) {
    auto& inputs = built_.inputs;
    auto found = std::find(inputs.begin(), inputs.end(), id);
    if (found == inputs.end()) found = inputs.insert(inputs.end(), id);
    RegionInstruction i{RegionCode::load, f_.type(id).dtype};
    i.operand = static_cast<int32_t>(found - inputs.begin());
    i.at = at;
    return add(i);
  }

  RegionIndex zero() { return {0, std::vector<int64_t>(axes_.size(), 0)}; }

  // Indices of an operand that broadcasts to the shape `at` runs over.
  Indices broadcast_indices(ValueId id, const Indices& at) {
    const Shape& shape = f_.type(id).shape;
    Indices result(at.end() - static_cast<std::ptrdiff_t>(shape.size()), at.end());
    for (size_t axis = 0; axis < shape.size(); ++axis)
      if (shape[axis] == Dim(1)) result[axis] = zero();
    return result;
  }

  int32_t emit_view(const Node& node, const Indices& at) {
    const ValueId source = node.inputs[0];
    if (node.op.as<Expand>()) return emit(source, broadcast_indices(source, at));
    if (node.op.as<Reshape>()) return emit(source, reshaped(source, node.outputs[0], at));
    if (const auto* permute = node.op.as<Permute>()) {
      Indices result(at.size());
      for (size_t i = 0; i < at.size(); ++i) result[static_cast<size_t>(permute->axes[i])] = at[i];
      return emit(source, result);
    }
    if (const auto* slice = node.op.as<Slice>()) {
      Indices result = at;
      RegionIndex& index = result[static_cast<size_t>(slice->axis)];
      scale(index, slice->step);
      index.offset += slice->start.value();
      return emit(source, result);
    }
    const auto* unfold = node.op.as<Unfold>();
    Indices result(at.begin(), at.end() - 1);
    RegionIndex& index = result[static_cast<size_t>(unfold->axis)];
    scale(index, unfold->step);
    plus(index, at.back(), 1);
    return emit(source, result);
  }

  static void scale(RegionIndex& index, int64_t by) {
    index.offset *= by;
    for (int64_t& factor : index.factors) factor *= by;
  }

  static void plus(RegionIndex& index, const RegionIndex& other, int64_t by) {
    index.offset += other.offset * by;
    index.factors.resize(std::max(index.factors.size(), other.factors.size()));
    for (size_t k = 0; k < other.factors.size(); ++k) index.factors[k] += other.factors[k] * by;
  }

  // The row-major position in the view's shape, split into positions along the source's axes.
  Indices reshaped(ValueId source, ValueId view, const Indices& at) {
    RegionIndex linear = zero();
    int64_t stride = 1;
    const Shape& from = f_.type(view).shape;
    for (size_t axis = from.size(); axis-- > 0;) {
      plus(linear, at[axis], stride);
      stride *= from[axis].value();
    }
    const Shape& to = f_.type(source).shape;
    Indices result(to.size(), zero());
    for (size_t axis = to.size(); axis-- > 0;) {
      if (to[axis] == Dim(1)) continue;
      result[axis] = take_low(linear, to[axis].value(), view);
    }
    return result;
  }

  // Splits off the position modulo `extent`: terms below it stay low, multiples of it go high.
  RegionIndex take_low(RegionIndex& linear, int64_t extent, ValueId view) {
    RegionIndex low = zero(), high = zero();
    int64_t negative = 0, positive = 0;
    for (size_t k = 0; k < linear.factors.size(); ++k) {
      const int64_t factor = linear.factors[k];
      if (factor % extent == 0) {
        high.factors[k] = factor / extent;
        continue;
      }
      low.factors[k] = factor;
      (factor < 0 ? negative : positive) += factor * (axes_[k].end - axes_[k].begin - 1);
    }
    high.offset = floor_div(Dim(linear.offset + negative), Dim(extent)).value();
    low.offset = linear.offset - high.offset * extent;
    if (low.offset + positive >= extent || low.offset + negative < 0) split_for(low, extent, view);
    linear = high;
    return low;
  }

  // A term that runs past the extent must be two axes; throws in any case.
  void split_for(const RegionIndex& low, int64_t extent, ValueId view) {
    for (size_t k = 0; k < low.factors.size(); ++k) {
      const int64_t factor = low.factors[k];
      if (factor <= 0 || extent % factor != 0) continue;
      const int64_t inner = extent / factor;
      if (inner < axes_[k].extent && axes_[k].extent % inner == 0) split(k, inner, view);
    }
    throw Obstacle{view};
  }

  [[noreturn]] void split(size_t k, int64_t inner, ValueId because) {
    if (!axes_[k].cuts.empty() || axes_[k].unrolled) throw Obstacle{because};
    Axis second = axes_[k];
    axes_[k].extent /= inner;
    second.extent = inner;
    axes_.insert(axes_.begin() + static_cast<std::ptrdiff_t>(k) + 1, second);
    throw Restart{};
  }

  int32_t emit_concat(const Node& node, const Indices& at) {
    const auto axis = static_cast<size_t>(node.op.as<Concat>()->axis);
    const RegionIndex& index = at[axis];
    int64_t low = index.offset, high = low;
    for (size_t k = 0; k < index.factors.size(); ++k) {
      const int64_t reach = index.factors[k] * (axes_[k].end - axes_[k].begin - 1);
      (reach < 0 ? low : high) += reach;
    }
    int64_t start = 0;
    for (ValueId part : node.inputs) {
      const int64_t extent = f_.type(part).shape[axis].value();
      if (low >= start && high < start + extent) {
        Indices inside = at;
        inside[axis].offset -= start;
        return emit(part, inside);
      }
      start += extent;
    }
    separate_parts(node, axis, index);
  }

  // Unrolls, splits or cuts the axis along which the source changes; throws in any case.
  [[noreturn]] void separate_parts(const Node& node, size_t axis, const RegionIndex& index) {
    const ValueId id = node.outputs[0];
    const int64_t part = f_.type(node.inputs[0]).shape[axis].value();
    bool equal = part > 0;
    for (ValueId input : node.inputs) equal = equal && f_.type(input).shape[axis] == Dim(part);
    size_t main = axes_.size();  // the axis with the largest factor
    int terms = 0;
    for (size_t k = 0; k < index.factors.size(); ++k) {
      if (index.factors[k] == 0) continue;
      ++terms;
      if (main == axes_.size() || std::abs(index.factors[k]) > std::abs(index.factors[main]))
        main = k;
    }
    if (main == axes_.size()) throw Obstacle{id};
    Axis& found = axes_[main];
    const int64_t factor = index.factors[main];
    const auto parts = static_cast<int64_t>(node.inputs.size());
    if (equal && factor > 0 && factor % part == 0 && found.extent <= kMaxUnroll &&
        found.cuts.empty()) {
      found.unrolled = true;
      throw Restart{};
    }
    if (equal && factor > 0 && part % factor == 0 && parts <= kMaxUnroll && found.cuts.empty() &&
        found.extent % (part / factor) == 0 && found.extent > part / factor &&
        index.offset % part == 0)
      split(main, part / factor, id);
    if (terms != 1 || factor != 1 || found.reduced || found.unrolled) throw Obstacle{id};
    int64_t start = 0;
    for (ValueId input : node.inputs) {
      start += f_.type(input).shape[axis].value();
      // index = offset + i, where the offset counts the begin of the part at hand.
      const int64_t cut = start - (index.offset - found.begin);
      if (cut > 0 && cut < found.extent) found.cuts.push_back(cut);
    }
    std::sort(found.cuts.begin(), found.cuts.end());
    found.cuts.erase(std::unique(found.cuts.begin(), found.cuts.end()), found.cuts.end());
    if (found.cuts.empty()) throw Obstacle{id};
    throw Restart{};
  }

  // Chooses space axes for the reduced axes: those the result does not depend on, else new ones.
  // reduced_axes_[i] lists the axes for the i-th extent. All reductions share one choice.
  void choose_reduced(const std::vector<int64_t>& extents, const Indices& at, ValueId id) {
    const bool chosen = std::any_of(axes_.begin(), axes_.end(), [](auto& a) { return a.reduced; });
    std::vector<size_t> candidates;
    for (size_t k = 0; k < axes_.size(); ++k) {
      bool used = false;
      for (const RegionIndex& index : at)
        used = used || (k < index.factors.size() && index.factors[k]);
      // An operand that changes along the axes another reduction runs over has no axes of its own.
      if (used && axes_[k].reduced) throw Obstacle{id};
      if (chosen ? axes_[k].reduced : !used) candidates.push_back(k);
    }
    reduced_axes_.assign(extents.size(), {});
    if (match(extents, 0, candidates, 0)) {
      size_t matched = 0;
      for (const auto& list : reduced_axes_) matched += list.size();
      if (chosen && matched != candidates.size()) throw Obstacle{id};
      for (const auto& list : reduced_axes_)
        for (size_t k : list) {
          if (!axes_[k].cuts.empty()) throw Obstacle{id};
          axes_[k].reduced = true;
        }
      if (!chosen && matched > 0) throw Restart{};
      return;
    }
    if (chosen) throw Obstacle{id};
    for (int64_t extent : extents) {
      if (extent != 1) {
        Axis fresh{sources_, extent};
        fresh.reduced = true;
        axes_.push_back(fresh);
      }
      ++sources_;
    }
    throw Restart{};
  }

  // Assigns candidate axes in order to the extents from `i` on, each a product of neighbours.
  bool match(const std::vector<int64_t>& extents, size_t i, const std::vector<size_t>& candidates,
             size_t from) {
    if (i == extents.size()) return true;
    if (extents[i] == 1) return match(extents, i + 1, candidates, from);
    for (size_t begin = from; begin < candidates.size(); ++begin) {
      int64_t product = 1;
      reduced_axes_[i].clear();
      for (size_t c = begin; c < candidates.size() && product < extents[i]; ++c) {
        product *= axes_[candidates[c]].extent;
        reduced_axes_[i].push_back(candidates[c]);
        if (product == extents[i] && match(extents, i + 1, candidates, c + 1)) return true;
        if (product == extents[i]) {
          reduced_axes_[i].clear();
          break;
        }
      }
    }
    reduced_axes_[i].clear();
    return false;
  }

  int32_t emit_reduce(const Node& node, const Reduce& reduce, const Indices& at) {
    const ValueId id = node.outputs[0], source = node.inputs[0];
    const Shape& shape = f_.type(source).shape;
    std::vector<int64_t> extents;
    int64_t count = 1;
    for (int64_t axis : reduce.axes) {
      extents.push_back(shape[static_cast<size_t>(axis)].value());
      count *= extents.back();
    }
    if (count == 0) throw Obstacle{id};
    if (count == 1) extents.assign(extents.size(), 1);
    choose_reduced(extents, at, id);
    const auto matched = reduced_axes_;
    std::vector<size_t> unrolled;
    for (const auto& list : matched)
      for (size_t k : list)
        if (axes_[k].unrolled) unrolled.push_back(k);

    int32_t total = -1;
    std::vector<int64_t> position(axes_.size(), 0);
    for_each_position(unrolled, 0, position, [&] {
      int32_t value = emit(source, operand_indices(reduce, at, matched, position, shape.size()));
      value = fold(value, reduce, count > 1);
      total = total < 0 ? value : combine(total, value, reduce);
    });
    const DType dtype = f_.type(id).dtype;
    if (reduce.fn == "mean") {
      RegionInstruction divide{RegionCode::compute, code_[static_cast<size_t>(total)].dtype};
      divide.fn = Elementwise::div;
      divide.a = total;
      divide.b = number(static_cast<double>(count), divide.dtype);
      total = add(divide);
    }
    return convert(total, dtype);
  }

  // Positions of the operand: kept axes from the result's, reduced ones over their space axes.
  Indices operand_indices(const Reduce& reduce, const Indices& at,
                          const std::vector<std::vector<size_t>>& matched,
                          const std::vector<int64_t>& position, size_t rank) {
    Indices result;
    size_t kept = 0, reduced = 0;
    for (size_t axis = 0; axis < rank; ++axis) {
      const bool is_reduced =
          reduced < reduce.axes.size() && reduce.axes[reduced] == static_cast<int64_t>(axis);
      if (!is_reduced) {
        result.push_back(at[kept++]);
        continue;
      }
      if (reduce.keep) ++kept;
      RegionIndex index = zero();
      int64_t factor = 1;
      const auto& list = matched[reduced++];
      for (size_t i = list.size(); i-- > 0;) {
        if (axes_[list[i]].unrolled)
          index.offset += factor * position[list[i]];
        else
          index.factors[list[i]] = factor;
        factor *= axes_[list[i]].extent;
      }
      result.push_back(index);
    }
    return result;
  }

  static RegionFold fold_of(const std::string& fn) {
    if (fn == "prod") return RegionFold::prod;
    if (fn == "max") return RegionFold::max;
    if (fn == "min") return RegionFold::min;
    if (fn == "any") return RegionFold::any;
    if (fn == "all") return RegionFold::all;
    return RegionFold::sum;
  }

  int32_t convert(int32_t r, DType dtype) {
    if (code_[static_cast<size_t>(r)].dtype == dtype) return r;
    RegionInstruction i{RegionCode::cast, dtype};
    i.a = r;
    return add(i);
  }

  // Sums of small floats are kept in f32 until the last rounding.
  int32_t fold(int32_t value, const Reduce& reduce, bool over_lanes) {
    const DType dtype = code_[static_cast<size_t>(value)].dtype;
    const RegionFold fold = fold_of(reduce.fn);
    if (fold == RegionFold::any || fold == RegionFold::all)
      value = convert(value, DType::boolean);
    else if ((fold == RegionFold::sum || fold == RegionFold::prod) && is_float(dtype) &&
             dtype != DType::f64)
      value = convert(value, DType::f32);
    const bool lanes = std::any_of(axes_.begin(), axes_.end(),
                                   [](const Axis& a) { return a.reduced && !a.unrolled; });
    if (!over_lanes || !lanes) return value;
    RegionInstruction i{RegionCode::reduce, code_[static_cast<size_t>(value)].dtype};
    i.fold = fold;
    i.a = value;
    return add(i);
  }

  int32_t combine(int32_t a, int32_t b, const Reduce& reduce) {
    static constexpr Elementwise kCombine[] = {Elementwise::add,        Elementwise::mul,
                                               Elementwise::maximum,    Elementwise::minimum,
                                               Elementwise::logical_or, Elementwise::logical_and};
    RegionInstruction i{RegionCode::compute, code_[static_cast<size_t>(a)].dtype};
    i.fn = kCombine[static_cast<int>(fold_of(reduce.fn))];
    i.a = a, i.b = b;
    return add(i);
  }

  const Function& f_;
  const std::vector<ValueId>& outputs_;
  const std::set<int32_t>& inlined_;
  int sources_ = 0, root_sources_ = 0;
  std::vector<Axis> axes_;
  std::vector<std::vector<size_t>> reduced_axes_;
  std::vector<RegionInstruction> code_;
  std::map<std::string, int32_t> memo_;
  ValueId current_ = kNone;
  BuiltRegion built_;
};

}  // namespace

std::optional<BuiltRegion> build_region(const Function& f, const std::vector<ValueId>& outputs,
                                        const std::set<int32_t>& inlined, ValueId& obstacle) {
  try {
    return Builder(f, outputs, inlined).build();
  } catch (const Obstacle& found) {
    obstacle = found.value;
    return std::nullopt;
  }
}

}  // namespace tutti
