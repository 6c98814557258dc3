// SPDX-License-Identifier: Apache-2.0
#include "shard/factors.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/bitcast.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/reduce.h"
#include "ops/resize.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "ops/views.h"

namespace tutti::shard {
namespace {

class Builder {
 public:
  Builder(std::span<const TensorType> in, std::span<const TensorType> out) {
    for (const TensorType& t : in) add_dims(in_shapes_, f_.in, t);
    for (const TensorType& t : out) add_dims(out_shapes_, f_.out, t);
    f_.addend.assign(in.size(), false);
  }

  int rank(size_t operand) const { return in_shapes_[operand].rank(); }
  int out_rank(size_t result = 0) const { return out_shapes_[result].rank(); }
  int64_t extent(size_t operand, int dim) const { return in_shapes_[operand][dim]; }
  int64_t out_extent(size_t result, int dim) const { return out_shapes_[result][dim]; }
  size_t operands() const { return in_shapes_.size(); }
  size_t results() const { return out_shapes_.size(); }

  int factor(int64_t extent, bool whole = false) {
    f_.list.push_back({extent, whole, false, false});
    return static_cast<int>(f_.list.size()) - 1;
  }
  // Whole unless the operator is written out in other operators.
  int decomposing(int64_t extent) {
    const int f = factor(extent, true);
    f_.list.back().decomposes = true;
    return f;
  }
  // Negative dims count from the end. A dim of extent 1 where the factor has more is broadcast.
  void in(size_t operand, int dim, int factor) {
    if (dim < 0) dim += rank(operand);
    const bool fits = extent(operand, dim) == f_.list[static_cast<size_t>(factor)].extent;
    f_.in[operand][static_cast<size_t>(dim)] = fits ? factor : Factors::kBroadcast;
  }
  void out(size_t result, int dim, int factor) {
    if (dim < 0) dim += out_rank(result);
    Factors::Factor& f = f_.list[static_cast<size_t>(factor)];
    if (out_extent(result, dim) != f.extent) return;
    f_.out[result][static_cast<size_t>(dim)] = factor;
    f.in_result = true;
  }
  void set_addend(size_t operand) { f_.addend[operand] = true; }
  void reduce_by(comm::Reduce reduce) { f_.reduced_by = reduce; }
  void whole_operand(size_t operand) {
    for (int d = 0; d < rank(operand); ++d) in(operand, d, factor(extent(operand, d), true));
  }
  Factors take() {
    // What no rule has named stays whole.
    for (size_t i = 0; i < f_.in.size(); ++i)
      for (int d = 0; d < rank(i); ++d)
        if (f_.in[i][static_cast<size_t>(d)] == kUnset) in(i, d, factor(extent(i, d), true));
    for (auto& dims : f_.out)
      for (int& d : dims)
        if (d == kUnset) d = Factors::kBroadcast;
    return std::move(f_);
  }

 private:
  static constexpr int kUnset = -2;

  static void add_dims(std::vector<Dims>& shapes, std::vector<std::vector<int>>& dims,
                       const TensorType& t) {
    shapes.push_back(constant_dims(t.shape));
    dims.emplace_back(t.shape.size(), kUnset);
  }

  Factors f_;
  std::vector<Dims> in_shapes_, out_shapes_;
};

// Dims of all operands aligned at the last, with broadcasting; the last `skip` of each are left.
void broadcast(Builder& b, int skip = 0, const std::vector<size_t>& operands = {}) {
  std::vector<size_t> list = operands;
  if (list.empty())
    for (size_t i = 0; i < b.operands(); ++i) list.push_back(i);
  for (int d = 0; d < b.out_rank() - skip; ++d) {
    const int from_end = b.out_rank() - d;  // 1 is the last
    const int f = b.factor(b.out_extent(0, d));
    b.out(0, d, f);
    for (const size_t i : list)
      if (b.rank(i) >= from_end) b.in(i, b.rank(i) - from_end, f);
  }
}

// Operand 0 and all results have the same dims but for `axis`, which stays whole.
void along(Builder& b, int64_t axis, bool decomposes = false) {
  for (int d = 0; d < b.rank(0); ++d) {
    const int64_t extent = b.extent(0, d);
    const int f = d == axis && decomposes ? b.decomposing(extent) : b.factor(extent, d == axis);
    b.in(0, d, f);
    for (size_t r = 0; r < b.results(); ++r)
      if (b.out_rank(r) == b.rank(0)) b.out(r, d, f);
  }
}

void matmul(Builder& b) {
  const int m = b.factor(b.extent(0, -2 + b.rank(0))), k = b.factor(b.extent(0, b.rank(0) - 1)),
            n = b.factor(b.extent(1, b.rank(1) - 1));
  broadcast(b, 2, {0, 1});
  b.in(0, -2, m);
  b.in(0, -1, k);
  b.in(1, -2, k);
  b.in(1, -1, n);
  b.out(0, -2, m);
  b.out(0, -1, n);
}

// Dims of x from `first` are normalized together; those of operands after x begin there.
void norm(Builder& b, int first) {
  for (int d = 0; d < b.rank(0); ++d) {
    const int f = d < first ? b.factor(b.extent(0, d)) : b.decomposing(b.extent(0, d));
    b.in(0, d, f);
    b.out(0, d, f);
    for (size_t i = 1; i < b.operands(); ++i)
      if (d >= first && d - first < b.rank(i)) b.in(i, d - first, f);
  }
}

comm::Reduce over_ranks(std::string_view fn) {
  if (fn == "max" || fn == "any") return comm::Reduce::max;
  return fn == "prod" ? comm::Reduce::prod : comm::Reduce::min;
}

void reduce(Builder& b, const Reduce& op, DType dtype) {
  // Addends of sums and means, and what has a limit that changes nothing.
  const bool apart =
      op.fn == "sum" || op.fn == "mean" || op.fn == "any" || op.fn == "all" || is_float(dtype);
  int result = 0;
  for (int d = 0; d < b.rank(0); ++d) {
    const bool reduced = std::find(op.axes.begin(), op.axes.end(), d) != op.axes.end();
    const int f = b.factor(b.extent(0, d), reduced && !apart);
    b.in(0, d, f);
    if (!reduced) b.out(0, result, f);
    if (!reduced || op.keep) ++result;
  }
  if (op.fn != "sum" && op.fn != "mean") b.reduce_by(over_ranks(op.fn));
}

void arg_reduce(Builder& b, const ArgReduce& op) {
  for (int d = 0, result = 0; d < b.rank(0); ++d) {
    const int f = b.factor(b.extent(0, d), d == op.axis);
    b.in(0, d, f);
    if (d != op.axis) b.out(0, result, f);
    if (d != op.axis || op.keep) ++result;
  }
}

void leading(Builder& b, int count) {
  for (int d = 0; d < b.rank(0); ++d) {
    const int f = b.factor(b.extent(0, d), d >= count);
    b.in(0, d, f);
    for (size_t r = 0; r < b.results() && d < count; ++r) b.out(r, d, f);
  }
}

void conv(Builder& b, const Conv& op) {
  const int batch = b.factor(b.extent(0, 0));
  b.in(0, 0, batch);
  b.out(0, 0, batch);
  if (b.operands() > 2) b.set_addend(2);
  // Output channels are rows of the weight, its columns when transposed.
  if (op.groups != 1) return;
  const int o = b.factor(b.out_extent(0, 1)), c = b.factor(b.extent(0, 1));
  b.in(0, 1, c);
  b.in(1, op.transposed ? 0 : 1, c);
  b.in(1, op.transposed ? 1 : 0, o);
  if (b.operands() > 2) b.in(2, 0, o);
  b.out(0, 1, o);
}

void permute(Builder& b, const Permute& op) {
  for (size_t i = 0; i < op.axes.size(); ++i) {
    const int f = b.factor(b.out_extent(0, static_cast<int>(i)));
    b.in(0, static_cast<int>(op.axes[i]), f);
    b.out(0, static_cast<int>(i), f);
  }
}

// Elements that other ranks have are zeros in a rank's result, which add up.
bool adds_up(DType dtype) { return dtype != DType::boolean; }

// x is indexed at `axes` by operands that broadcast against each other.
void index(Builder& b, const std::vector<int64_t>& axes, DType dtype) {
  const int kept = b.rank(0) - static_cast<int>(axes.size()), index_rank = b.out_rank() - kept;
  const int first = place_of_indices(axes);
  for (int d = 0, seen = 0; d < b.rank(0); ++d) {
    const bool indexed = std::find(axes.begin(), axes.end(), d) != axes.end();
    const int f = b.factor(b.extent(0, d), indexed && !adds_up(dtype));
    b.in(0, d, f);
    if (indexed) continue;
    b.out(0, seen < first ? seen : seen + index_rank, f);
    ++seen;
  }
  for (int d = 0; d < index_rank; ++d) {
    const int f = b.factor(b.out_extent(0, first + d));
    b.out(0, first + d, f);
    for (size_t i = 1; i < b.operands(); ++i)
      if (const int own = d - (index_rank - b.rank(i)); own >= 0) b.in(i, own, f);
  }
}

// x and index have the same dims but for those in which index is shorter.
void gather(Builder& b, int64_t axis, DType dtype) {
  for (int d = 0; d < b.rank(0); ++d) {
    const bool common = d != axis && b.extent(0, d) == b.extent(1, d);
    const int f = b.factor(b.extent(1, d), d != axis && !common);
    b.in(1, d, f);
    b.out(0, d, f);
    b.in(0, d, common ? f : b.factor(b.extent(0, d), d != axis || !adds_up(dtype)));
  }
}

void pad(Builder& b, const Pad& op) {
  for (int d = 0; d < b.rank(0); ++d) {
    const auto i = static_cast<size_t>(d);
    const int f = b.factor(b.extent(0, d), op.before[i] != 0 || op.after[i] != 0);
    b.in(0, d, f);
    b.out(0, d, f);
  }
}

// x: before axes! after, values: before picks! after, index...: picks! -> y: before axes! after
void index_put(Builder& b, const IndexPut& op) {
  Dims x;  // each dim is its own number, to see where it is among the values
  for (int d = 0; d < b.rank(0); ++d) x.push_back(d);
  int index_rank = 0;
  for (size_t i = 2; i < b.operands(); ++i) index_rank = std::max(index_rank, b.rank(i));
  const Dims picked = indexed_dims(x, op.axes, Dims::filled(index_rank, -1));
  for (int at = 0; at < picked.rank(); ++at) {
    if (picked[at] < 0) continue;
    const auto d = static_cast<int>(picked[at]);
    const int f = b.factor(b.extent(0, d));
    b.in(0, d, f);
    b.out(0, d, f);
    const int from_end = picked.rank() - at;  // values broadcast
    if (b.rank(1) >= from_end) b.in(1, b.rank(1) - from_end, f);
  }
}

// Dims of all operands and the result but `axis`, where they have the same extents.
void written_along(Builder& b, int64_t axis) {
  for (int d = 0; d < b.rank(0); ++d) {
    bool same = d != axis;
    for (size_t i = 1; same && i < b.operands(); ++i)
      same = b.rank(i) == b.rank(0) && b.extent(i, d) == b.extent(0, d);
    const int f = b.factor(b.extent(0, d), !same);
    b.out(0, d, f);
    for (size_t i = 0; i < (same ? b.operands() : 1); ++i) b.in(i, d, f);
  }
}

// q: b n s d!, k: b n t! d!, v: b n t! e -> y: b n s e. Split keys are met in another way.
void attention(Builder& b) {
  const int batch = b.factor(b.extent(0, 0)), n = b.factor(b.extent(0, 1)),
            s = b.factor(b.extent(0, 2)), d = b.factor(b.extent(0, 3), true),
            t = b.factor(b.extent(1, 2), true), e = b.factor(b.extent(2, 3));
  const int wide[] = {batch, n, s, d};
  for (int i = 0; i < 4; ++i) b.in(0, i, wide[i]);
  for (size_t kv = 1; kv <= 2; ++kv) {
    b.in(kv, 0, batch);
    // Heads that share keys are another factor, whose tables follow from that of n.
    b.in(kv, 1, b.extent(kv, 1) == b.extent(0, 1) ? n : b.factor(b.extent(kv, 1), true));
    b.in(kv, 2, t);
  }
  b.in(1, 3, d);
  b.in(2, 3, e);
  if (b.operands() > 3) {
    const int mask[] = {batch, n, s, t};
    for (int i = 1; i <= b.rank(3); ++i) b.in(3, -i, mask[4 - i]);
  }
  const int result[] = {batch, n, s, e};
  for (int i = 0; i < 4; ++i) b.out(0, i, result[i]);
}

}  // namespace

bool has_own_rule(const Op& op) {
  return op.as<Reshape>() || op.as<Slice>() || op.as<Concat>() || op.as<Constant>() ||
         op.as<Full>() || op.as<Arange>();
}

std::string_view reason_to_run_whole(const Op& op) {
  if (op.name() == Bitcast::kName)
    return "elements of the last dimension are taken together; seen in packed weights only";
  if (op.name() == Unfold::kName) return "windows overlap";
  if (op.has_effects() || op.name() == RankInGroup::kName)
    return "the network's own exchange between ranks";
  return {};
}

std::optional<Factors> factors(const Op& op, std::span<const TensorType> in,
                               std::span<const TensorType> out) {
  if (has_own_rule(op) || out.empty()) return std::nullopt;
  Builder b(in, out);
  if (op.as<ElementwiseOp>() || op.as<Cast>() || op.as<Expand>()) {
    broadcast(b);
  } else if (op.as<Matmul>()) {
    if (b.rank(0) < 2 || b.rank(1) < 2) return std::nullopt;
    matmul(b);
    if (b.operands() > 2) {
      Factors f = b.take();
      // c is aligned with the result.
      for (size_t d = 0; d < in[2].shape.size(); ++d) {
        const size_t at = out[0].shape.size() - in[2].shape.size() + d;
        f.in[2][d] = in[2].shape[d] == out[0].shape[at] ? f.out[0][at] : Factors::kBroadcast;
      }
      f.addend[2] = true;
      return f;
    }
  } else if (op.as<Attention>()) {
    attention(b);
  } else if (const auto* layer = op.as<LayerNorm>()) {
    norm(b, b.rank(0) - static_cast<int>(layer->axes));
  } else if (const auto* rms = op.as<RmsNorm>()) {
    norm(b, b.rank(0) - static_cast<int>(rms->axes));
  } else if (op.as<GroupNorm>()) {
    norm(b, 1);
  } else if (const auto* softmax = op.as<Softmax>()) {
    along(b, softmax->axis, true);
  } else if (const auto* scan = op.as<Scan>()) {
    along(b, scan->axis);
  } else if (const auto* top = op.as<TopK>()) {
    along(b, top->axis);
  } else if (const auto* r = op.as<Reduce>()) {
    reduce(b, *r, in[0].dtype);
  } else if (const auto* p = op.as<Permute>()) {
    permute(b, *p);
  } else if (const auto* c = op.as<Conv>()) {
    conv(b, *c);
  } else if (const auto* t = op.as<Take>()) {
    index(b, {t->axis}, in[0].dtype);
  } else if (const auto* many = op.as<Index>()) {
    index(b, many->axes, in[0].dtype);
  } else if (const auto* g = op.as<Gather>()) {
    gather(b, g->axis, in[0].dtype);
  } else if (const auto* arg = op.as<ArgReduce>()) {
    arg_reduce(b, *arg);
  } else if (const auto* put = op.as<IndexPut>()) {
    index_put(b, *put);
  } else if (const auto* update = op.as<SliceUpdate>()) {
    written_along(b, update->axis);
  } else if (const auto* scattered = op.as<Scatter>()) {
    written_along(b, scattered->axis);
  } else if (const auto* padded = op.as<Pad>()) {
    pad(b, *padded);
  } else if (op.as<Resize>() || op.as<Pool>() || op.as<AdaptivePool>()) {
    leading(b, std::min(2, b.rank(0)));
  } else {
    return std::nullopt;
  }
  return b.take();
}

std::optional<Factors> factors(const Function& f, const Node& node) {
  std::vector<TensorType> in, out;
  for (const ValueId id : node.inputs) in.push_back(f.type(id));
  for (const ValueId id : node.outputs) out.push_back(f.type(id));
  return factors(node.op, in, out);
}

}  // namespace tutti::shard
