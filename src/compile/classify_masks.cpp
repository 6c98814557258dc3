// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "compile/evaluate.h"
#include "compile/pass.h"
#include "core/dispatch.h"
#include "ops/attention.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/loops.h"
#include "ops/view_layout.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Elements of a mask, and of what it is made of, at most: as many keys for 11585 queries.
constexpr int64_t kMaxElements = int64_t{1} << 27;

// Keys that one row of a mask lets its query see.
struct Row {
  int64_t begin, end;
  bool lowered;  // keys that are not seen have a very low addend, not -inf
};

// A mask that is a band. Where it is not strict, what it hides has a very low addend: that is the
// same for queries that see some key.
struct Found {
  Band band;
  bool strict;
};

// Half of the lowest number: what is added to scores of this type to hide them.
double low(DType dtype) {
  if (dtype == DType::f16) return -65504.0 / 2;
  return (dtype == DType::f64 ? -1.7976931348623157e308 : -3.38953139e38) / 2;
}

// Nothing when keys that are seen do not follow each other, or something else than 0 is added.
template <class T>
std::optional<Row> row_of(const T* mask, int64_t step, int64_t keys, double low) {
  Row row{keys, keys, false};
  bool before = false;
  for (int64_t t = 0; t < keys; ++t) {
    const double x = static_cast<double>(static_cast<ComputeType<T>>(mask[t * step]));
    const bool sees = std::is_same_v<T, bool> ? x != 0 : x == 0;
    if (sees && !before && row.begin < keys) return std::nullopt;
    if (sees && !before) row.begin = t;
    if (!sees && before) row.end = t;
    if (!sees && !std::is_same_v<T, bool>) {
      if (!(x <= low)) return std::nullopt;
      row.lowered = row.lowered || std::isfinite(x);
    }
    before = sees;
  }
  return row;
}

// The rows of a mask for s queries; nothing when one has none, or batches or heads differ.
template <class T>
std::optional<std::vector<Row>> rows_of(const Tensor& mask, int64_t s, int64_t t) {
  Dims shape = mask.shape;
  while (shape.rank() < 4) shape.insert(0, 1);
  shape[2] = s, shape[3] = t;
  const Dims strides = broadcast_strides(mask, shape);
  std::vector<Row> rows;
  for (int64_t i = 0; i < shape[0] * shape[1] * s; ++i) {
    const int64_t head = i / s;
    const T* from = mask.as<const T>() + head / shape[1] * strides[0] +
                    head % shape[1] * strides[1] + i % s * strides[2];
    const auto row = row_of(from, strides[3], t, low(mask.dtype));
    if (!row) return std::nullopt;
    if (head == 0) {
      rows.push_back(*row);
      continue;
    }
    const Row& first = rows[static_cast<size_t>(i % s)];
    if (row->begin != first.begin || row->end != first.end) return std::nullopt;
    rows[static_cast<size_t>(i % s)].lowered |= row->lowered;
  }
  return rows;
}

std::optional<Found> band_of(const std::vector<Row>& rows, int64_t t) {
  const auto s = static_cast<int64_t>(rows.size());
  // A bound is where a row ends that another key would follow.
  int64_t first = -Band::kFar, end = Band::kFar;
  for (int64_t i = 0; i < s; ++i) {
    const Row& row = rows[static_cast<size_t>(i)];
    if (row.begin >= row.end) continue;
    if (row.begin > 0) first = row.begin - i;
    if (row.end < t) end = row.end - i;
  }
  if (first >= end) return std::nullopt;
  Found found{Band::between(first, end), true};
  for (int64_t i = 0; i < s; ++i) {
    const Row& row = rows[static_cast<size_t>(i)];
    const Band::Keys keys = found.band.keys(i, 1, t);
    const bool empty = row.begin >= row.end;
    const bool same =
        empty ? keys.begin == keys.end : keys.begin == row.begin && keys.end == row.end;
    if (!same || (empty && row.lowered)) return std::nullopt;
    found.strict = found.strict && !row.lowered;
  }
  return found;
}

class Classifier {
 public:
  explicit Classifier(Function& f) : f_(f), constant_(constant_values(f, kMaxElements)) {}

  bool run() {
    bool changed = false;
    for (Node& node : f_.nodes)
      if (node.op.as<Attention>() && node.inputs.size() == 4) changed = classify(node) || changed;
    return changed;
  }

 private:
  // What is left of a mask when a band is taken out of it; kNone: nothing.
  struct Rest {
    Band band;
    ValueId mask;
  };

  bool classify(Node& node) {
    Attention op = *node.op.as<Attention>();
    s_ = f_.type(node.inputs[0]).shape[2].value();
    t_ = f_.type(node.inputs[1]).shape[2].value();
    dtype_ = f_.type(node.inputs[0]).dtype;
    bool changed = false;
    while (node.inputs.size() == 4) {
      const auto rest = without_band(node.inputs[3], op.band());
      if (!rest) break;
      op.set_band(rest->band.simplest(s_, t_));
      node.inputs.pop_back();
      if (rest->mask != kNone) node.inputs.push_back(rest->mask);
      changed = true;
    }
    if (changed) node.op = op;
    return changed;
  }

  std::optional<Rest> without_band(ValueId mask, const Band& band) {
    if (constant_[static_cast<size_t>(mask)]) {
      const auto found = find(mask);
      return found ? joined(found->band, band, kNone) : std::nullopt;
    }
    const Node* node = f_.producer(mask);
    if (node == nullptr) return std::nullopt;
    if (node->op.as<Expand>()) return without_band(node->inputs[0], band);
    const auto* op = node->op.as<ElementwiseOp>();
    if (op == nullptr) return std::nullopt;
    const bool boolean = f_.type(mask).dtype == DType::boolean;
    if (boolean && (op->fn == Elementwise::bitwise_and || op->fn == Elementwise::logical_and))
      return one_side(*node, band);
    if (!boolean && op->fn == Elementwise::add) return one_side(*node, band);
    if (op->fn == Elementwise::select && number(node->inputs[2]) == -INFINITY)
      return selected(node->inputs[0], node->inputs[1], band);
    return std::nullopt;
  }

  std::optional<Rest> joined(const Band& a, const Band& b, ValueId mask) const {
    const auto both = a.both(b);
    return both ? std::optional(Rest{*both, mask}) : std::nullopt;
  }

  // A band and something else: both must let a key be seen.
  std::optional<Rest> one_side(const Node& node, const Band& band) {
    for (size_t side = 0; side < 2; ++side) {
      const ValueId own = node.inputs[side], other = node.inputs[1 - side];
      if (!constant_[static_cast<size_t>(own)] || f_.type(own).dtype != f_.type(other).dtype)
        continue;
      const auto found = find(own);
      if (found && found->strict) return joined(found->band, band, other);
    }
    return std::nullopt;
  }

  // `added` where `which` lets a key be seen, else -inf.
  std::optional<Rest> selected(ValueId which, ValueId added, const Band& band) {
    const auto rest = without_band(which, band);
    if (!rest || number(added) == 0.0) return rest;
    if (rest->mask != kNone || f_.type(added).dtype != dtype_) return std::nullopt;
    return Rest{rest->band, added};
  }

  std::optional<double> number(ValueId id) const {
    const Node* node = f_.producer(id);
    while (node != nullptr && is_view(node->op)) node = f_.producer(node->inputs[0]);
    if (node == nullptr) return std::nullopt;
    if (const auto* full = node->op.as<Full>()) return full->value;
    const auto* constant = node->op.as<Constant>();
    if (constant == nullptr || constant->value.elements() != 1) return std::nullopt;
    return cast(constant->value, DType::f64).as<double>()[0];
  }

  std::optional<Found> find(ValueId mask) {
    const auto [at, made] = found_.try_emplace({mask, s_, t_});
    if (!made) return at->second;
    const Tensor content = evaluate(f_, {mask}, true)[0];
    with_dtype(content.dtype, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_same_v<T, bool> || !std::is_integral_v<T>) {
        const auto rows = rows_of<T>(content, s_, t_);
        if (rows) at->second = band_of(*rows, t_);
      }
    });
    return at->second;
  }

  Function& f_;
  std::vector<bool> constant_;
  int64_t s_ = 0, t_ = 0;
  DType dtype_ = DType::f32;
  std::map<std::tuple<ValueId, int64_t, int64_t>, std::optional<Found>> found_;
};

}  // namespace

bool classify_masks(Compilation& c) {
  if (!c.options.fuse && c.program.mesh.empty()) return false;
  return Classifier(c.function).run();
}

}  // namespace tutti
