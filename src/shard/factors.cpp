// SPDX-License-Identifier: Apache-2.0
#include "shard/factors.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/bitcast.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
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
    f_.list.push_back({extent, whole, false});
    return static_cast<int>(f_.list.size()) - 1;
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
void along(Builder& b, int64_t axis) {
  for (int d = 0; d < b.rank(0); ++d) {
    const int f = b.factor(b.extent(0, d), d == axis);
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

// Last dims of operands after the first belong to the last dims of x, which stay whole.
void norm(Builder& b, int64_t axes) {
  const int first = b.rank(0) - static_cast<int>(axes);
  for (int d = 0; d < b.rank(0); ++d) {
    const int f = b.factor(b.extent(0, d), d >= first);
    b.in(0, d, f);
    b.out(0, d, f);
    for (size_t i = 1; i < b.operands(); ++i)
      if (d >= first) b.in(i, d - first, f);
  }
}

void reduce(Builder& b, const Reduce& op) {
  int result = 0;
  for (int d = 0; d < b.rank(0); ++d) {
    const bool reduced = std::find(op.axes.begin(), op.axes.end(), d) != op.axes.end();
    // A sum of parts is a partial sum; other reductions take whole rows.
    const int f = b.factor(b.extent(0, d), reduced && op.fn != "sum");
    b.in(0, d, f);
    if (!reduced) b.out(0, result, f);
    if (!reduced || op.keep) ++result;
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
  // Output channels are rows of the weight, its columns when transposed.
  if (op.groups != 1) return;
  const int o = b.factor(b.out_extent(0, 1));
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

// x: before axis! after, index: i -> y: before i after
void take(Builder& b, int64_t axis) {
  const int index_rank = b.rank(1);
  for (int d = 0; d < b.rank(0); ++d) {
    const int f = b.factor(b.extent(0, d), d == axis);
    b.in(0, d, f);
    if (d < axis) b.out(0, d, f);
    if (d > axis) b.out(0, d + index_rank - 1, f);
  }
  for (int d = 0; d < index_rank; ++d) {
    const int f = b.factor(b.extent(1, d));
    b.in(1, d, f);
    b.out(0, static_cast<int>(axis) + d, f);
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
    norm(b, layer->axes);
  } else if (const auto* rms = op.as<RmsNorm>()) {
    norm(b, rms->axes);
  } else if (op.as<GroupNorm>()) {
    leading(b, 1);
  } else if (const auto* softmax = op.as<Softmax>()) {
    along(b, softmax->axis);
  } else if (const auto* scan = op.as<Scan>()) {
    along(b, scan->axis);
  } else if (const auto* top = op.as<TopK>()) {
    along(b, top->axis);
  } else if (const auto* r = op.as<Reduce>()) {
    reduce(b, *r);
  } else if (const auto* p = op.as<Permute>()) {
    permute(b, *p);
  } else if (const auto* c = op.as<Conv>()) {
    conv(b, *c);
  } else if (const auto* t = op.as<Take>()) {
    take(b, t->axis);
  } else if (const auto* padded = op.as<Pad>()) {
    pad(b, *padded);
  } else if (op.as<Resize>() || op.as<Pool>() || op.as<AdaptivePool>()) {
    leading(b, std::min(2, b.rank(0)));
  } else {
    return std::nullopt;
  }
  return b.take();
}

}  // namespace tutti::shard
