// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>

#include "ir/graph.h"
#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/views.h"

namespace tutti {

/// A network of random operators on small tensors of random extents, with its inputs and state.
class RandomNetwork {
 public:
  explicit RandomNetwork(unsigned seed) : random_(seed) {
    graph_.functions.push_back({.name = "run"});
    add_input(pick(1, 4));
    add_input(3);
    for (int i = pick(0, 2); i > 0; --i) add_state();
    for (int i = pick(4, 20); i > 0; --i) grow();
    for (const ValueId state : states_)
      f().updates.push_back({f().value(state).resident, next_of(state)});
    for (int i = 0; i < 3; ++i) {
      const ValueId id = i == 0 ? known_.back() : any();
      f().outputs.push_back({join("y", i), id});
    }
  }

  const Graph& graph() const { return graph_; }
  const std::vector<Tensor>& inputs() const { return inputs_; }

 private:
  using Extents = std::vector<int64_t>;

  Function& f() { return graph_.functions[0]; }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  ValueId any() {
    const int last = static_cast<int>(known_.size()) - 1;
    return known_[static_cast<size_t>(pick(std::max(0, last - 4), last))];
  }
  Extents shape(ValueId id) {
    const Dims dims = constant_dims(f().type(id).shape);
    return {dims.begin(), dims.end()};
  }
  int64_t extent() {
    static constexpr int64_t kExtents[] = {1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 12, 16};
    return kExtents[pick(0, static_cast<int>(std::size(kExtents)) - 1)];
  }
  static Shape symbolic(const Extents& shape) { return Shape(shape.begin(), shape.end()); }
  ValueId add(Op op, std::vector<ValueId> in) { return f().add1(std::move(op), std::move(in)); }
  ValueId add(Elementwise fn, std::vector<ValueId> in) {
    return add(ElementwiseOp{fn}, std::move(in));
  }
  void know(ValueId id) {
    int64_t size = 1;
    for (const int64_t e : shape(id)) size *= e;
    if (size <= 8192) known_.push_back(id);
  }

  Tensor random_tensor(const Extents& shape, float scale = 1) {
    Tensor t = Tensor::zeros(DType::f32, Dims(shape));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] = scale * normal(random_);
    return t;
  }
  ValueId weight(const Extents& shape, float scale = 1) {
    const std::string name = join("w", graph_.residents.size());
    const TensorType type{DType::f32, symbolic(shape)};
    const ResidentId id =
        graph_.add_resident({name, type, Resident::Kind::bound, random_tensor(shape, scale)});
    return f().read(id, name, type);
  }
  ValueId constant(const Extents& shape) { return add(Constant{random_tensor(shape)}, {}); }

  void add_input(int rank) {
    Extents shape;
    for (int i = 0; i < rank; ++i) shape.push_back(extent());
    if (shape.size() == 4) shape[3] = std::min<int64_t>(shape[3], 6);
    inputs_.push_back(random_tensor(shape));
    known_.push_back(f().add_input(join("x", inputs_.size()), {DType::f32, symbolic(shape)}));
  }

  void add_state() {
    Extents shape;
    for (int i = pick(1, 4); i > 0; --i) shape.push_back(std::min<int64_t>(extent(), 6));
    const std::string name = join("s", graph_.residents.size());
    const TensorType type{DType::f32, symbolic(shape)};
    const ResidentId id =
        graph_.add_resident({name, type, Resident::Kind::carried, random_tensor(shape)});
    states_.push_back(f().read(id, name, type));
    known_.push_back(states_.back());
  }

  // State with a part written over, as caches become, or any value of its type.
  ValueId next_of(ValueId state) {
    if (pick(0, 1)) return written(state);
    ValueId next = add(Elementwise::tanh, {state});
    for (const ValueId id : known_)
      if (id != state && f().type(id) == f().type(state)) next = id;
    return next;
  }

  void grow() {
    switch (pick(0, 19)) {
      case 0:
        return unary();
      case 1:
      case 2:
        return binary();
      case 3:
        return know(permuted(any()));
      case 4:
        return reshape();
      case 5:
        return slice();
      case 6:
        return concat();
      case 7:
        return pick(0, 1) ? reduce() : softmax();
      case 17:
        return indexing();
      case 18:
        return pick(0, 1) ? group_norm() : reduce();
      case 8:
        return norm();
      case 9:
        return expand();
      case 10:
        return pick(0, 1) ? embedding() : convolution();
      case 11:
        return products_in_a_row();
      case 12:
      case 13:
      case 14:
        return attention();
      case 15:
        return shape(known_.back()).empty() ? unary() : know(written(known_.back()));
      default:
        return product();
    }
  }

  void unary() {
    static constexpr Elementwise kFunctions[] = {Elementwise::tanh, Elementwise::silu,
                                                 Elementwise::neg, Elementwise::abs,
                                                 Elementwise::gelu};
    const ValueId x = any();
    if (pick(0, 4) != 0) return know(add(kFunctions[pick(0, 4)], {x}));
    know(add(Cast{DType::f32}, {add(Elementwise::tanh, {add(Cast{DType::f64}, {x})})}));
  }

  // With itself, a value of the same shape, or a constant that broadcasts; operands in any order.
  void binary() {
    const ValueId a = any();
    ValueId b = any();
    if (shape(b) != shape(a)) {
      Extents small = shape(a);
      small.erase(small.begin(), small.begin() + pick(0, static_cast<int>(small.size())));
      for (int64_t& e : small)
        if (pick(0, 2) == 0) e = 1;
      b = pick(0, 1) ? constant(small) : weight(small);
    }
    static constexpr Elementwise kFunctions[] = {Elementwise::add, Elementwise::sub,
                                                 Elementwise::mul};
    const Elementwise fn = kFunctions[pick(0, 2)];
    know(pick(0, 1) ? add(fn, {a, b}) : add(fn, {b, a}));
  }

  ValueId permuted(ValueId x) {
    std::vector<int64_t> axes(shape(x).size());
    std::iota(axes.begin(), axes.end(), 0);
    std::shuffle(axes.begin(), axes.end(), random_);
    return add(Permute{axes}, {x});
  }

  // Joins two axes, or splits one.
  void reshape() {
    const ValueId x = any();
    Extents to = shape(x);
    if (to.empty()) return;
    const auto axis = static_cast<size_t>(pick(0, static_cast<int>(to.size()) - 1));
    if (axis > 0 && pick(0, 1)) {
      to[axis - 1] *= to[axis];
      to.erase(to.begin() + static_cast<std::ptrdiff_t>(axis));
    } else if (to.size() < 5) {
      Extents divisors;
      for (int64_t d = 1; d <= to[axis]; ++d)
        if (to[axis] % d == 0) divisors.push_back(d);
      const int64_t d =
          divisors[static_cast<size_t>(pick(0, static_cast<int>(divisors.size()) - 1))];
      to[axis] /= d;
      to.insert(to.begin() + static_cast<std::ptrdiff_t>(axis), d);
    }
    know(add(Reshape{symbolic(to)}, {x}));
  }

  void slice() {
    const ValueId x = any();
    const Extents from = shape(x);
    if (from.empty()) return;
    const int axis = pick(0, static_cast<int>(from.size()) - 1);
    const int64_t e = from[static_cast<size_t>(axis)];
    const int64_t start = pick(0, static_cast<int>(e - 1)),
                  size = pick(1, static_cast<int>(e - start));
    if (pick(0, 4) == 0) return know(add(Slice{axis, start, (e - start + 1) / 2, 2}, {x}));
    if (pick(0, 2) != 0 || start == 0) return know(add(Slice{axis, start, size, 1}, {x}));
    // Both halves, as networks that take a product apart.
    know(add(Slice{axis, 0, start, 1}, {x}));
    know(add(Slice{axis, start, e - start, 1}, {x}));
  }

  void concat() {
    const ValueId x = any();
    Extents other = shape(x);
    if (other.empty()) return;
    const int axis = pick(0, static_cast<int>(other.size()) - 1);
    other[static_cast<size_t>(axis)] = extent();
    std::vector<ValueId> in = {x, pick(0, 2) == 0 ? x : constant(other)};
    for (const ValueId id : known_)
      if (shape(id) == other) in[1] = id;
    if (pick(0, 1)) std::swap(in[0], in[1]);
    know(add(Concat{axis}, in));
  }

  // x with a value or a constant in a part of an axis.
  ValueId written(ValueId x) {
    Extents part = shape(x);
    const auto axis = static_cast<size_t>(pick(0, static_cast<int>(part.size()) - 1));
    const int64_t all = part[axis];
    part[axis] = pick(1, static_cast<int>(all));
    ValueId source = constant(part);
    for (const ValueId id : known_)
      if (shape(id) == part) source = id;
    const auto along = static_cast<int64_t>(axis);
    if (pick(0, 1))
      return add(SliceUpdate{along, pick(0, static_cast<int>(all - part[axis])), 1}, {x, source});
    Tensor index = Tensor::zeros(DType::i64, {part[axis]});
    for (int64_t i = 0; i < index.elements(); ++i)
      index.as<int64_t>()[i] = pick(0, static_cast<int>(all - 1));
    return add(IndexPut{{along}, pick(0, 3) == 0}, {x, source, add(Constant{index}, {})});
  }

  void reduce() {
    const ValueId x = any();
    static constexpr const char* kFunctions[] = {"sum", "mean", "max", "min"};
    Reduce op{kFunctions[pick(0, 3)], {}, pick(0, 1) == 0};
    for (size_t d = 0; d < shape(x).size(); ++d)
      if (pick(0, 1)) op.axes.push_back(static_cast<int64_t>(d));
    know(add(op, {x}));
  }

  void softmax() {
    const ValueId x = any();
    if (shape(x).empty()) return;
    know(add(Softmax{pick(0, static_cast<int>(shape(x).size()) - 1)}, {x}));
  }

  void norm() {
    const ValueId x = any();
    if (shape(x).empty()) return;
    const int64_t h = shape(x).back();
    if (pick(0, 1))
      know(add(RmsNorm{1, 0.1}, {x, weight({h})}));
    else
      know(add(LayerNorm{1, 0.1}, {x, weight({h}), weight({h})}));
  }

  void expand() {
    const ValueId x = any();
    Extents to = shape(x);
    if (to.size() > 3) return;
    for (int64_t& e : to)
      if (e == 1) e = extent();
    if (pick(0, 1)) to.insert(to.begin(), extent());
    know(add(Expand{symbolic(to)}, {x}));
  }

  // Rows of a table, by indices that depend on nothing.
  void embedding() {
    const int64_t rows = extent();
    Extents extents(static_cast<size_t>(pick(1, 2)));
    for (int64_t& e : extents) e = extent();
    Tensor index = Tensor::zeros(DType::i64, Dims(extents));
    for (int64_t i = 0; i < index.elements(); ++i)
      index.as<int64_t>()[i] = pick(0, static_cast<int>(rows - 1));
    const ValueId table = weight({rows, extent()});
    know(add(Take{0}, {table, add(Constant{index}, {})}));
  }

  Tensor indices(const Extents& extents, int64_t below) {
    Tensor index = Tensor::zeros(DType::i64, Dims(extents));
    for (int64_t i = 0; i < index.elements(); ++i)
      index.as<int64_t>()[i] = pick(static_cast<int>(-below), static_cast<int>(below - 1));
    return index;
  }

  // Some of what a value holds along one or two axes.
  void indexing() {
    const ValueId x = any();
    const Extents from = shape(x);
    if (from.empty() || from.size() > 3) return;
    const auto axis = static_cast<size_t>(pick(0, static_cast<int>(from.size()) - 1));
    if (pick(0, 2) == 0) {
      Extents to = from;
      to[axis] = extent();
      return know(
          add(Gather{static_cast<int64_t>(axis)}, {x, add(Constant{indices(to, from[axis])}, {})}));
    }
    Index op{{static_cast<int64_t>(axis)}};
    std::vector<ValueId> in = {x, add(Constant{indices({extent()}, from[axis])}, {})};
    if (axis + 1 < from.size() && pick(0, 1)) {
      op.axes.push_back(static_cast<int64_t>(from.size()) - 1);
      in.push_back(add(Constant{indices({extent(), 1}, from.back())}, {}));
    }
    know(add(op, in));
  }

  void group_norm() {
    for (const ValueId x : known_) {
      const Extents from = shape(x);
      if (from.size() < 3) continue;
      const int64_t groups = from[1] % 2 == 0 ? 2 : 1;
      return know(add(GroupNorm{groups, 0.1}, {x, weight({from[1]}), weight({from[1]})}));
    }
  }

  void convolution() {
    for (const ValueId x : known_) {
      const Extents from = shape(x);
      if (from.size() != 4) continue;
      const int64_t groups[] = {1, from[1] % 2 == 0 ? 2 : 1, from[1]};
      const int64_t n = groups[pick(0, 2)], rows = n == 1 ? extent() : n * pick(1, 2);
      std::vector<ValueId> in = {x, weight({rows, from[1] / n, 3, 3}, 0.3f)};
      if (pick(0, 1)) in.push_back(weight({rows}));
      return know(add(Conv{{1, 1}, {1, 1}, {1, 1}, {1, 1}, n}, in));
    }
  }

  // x times a weight, or with its own transposed; with or without an addend.
  void product() {
    const ValueId a = any();
    const Extents from = shape(a);
    if (from.size() < 2) return;
    std::vector<ValueId> in = {a, kNone};
    if (pick(0, 3) == 0) {
      std::vector<int64_t> axes(from.size());
      std::iota(axes.begin(), axes.end(), 0);
      std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
      in[1] = add(Permute{axes}, {a});
    } else {
      in[1] = weight_for(a, extent());
    }
    const int64_t n = shape(in[1]).back();
    if (pick(0, 1)) in.push_back(pick(0, 2) ? weight({n}) : weight({from[from.size() - 2], 1}));
    know(add(Matmul{}, in));
  }

  ValueId weight_for(ValueId x, int64_t n) {
    const int64_t k = shape(x).back();
    return weight({k, n}, 1 / std::sqrt(static_cast<float>(k)));
  }
  ValueId times_weight(ValueId x, int64_t n, bool bias) {
    std::vector<ValueId> in = {x, weight_for(x, n)};
    if (bias) in.push_back(weight({n}));
    return add(Matmul{}, in);
  }

  // x times weights twice: what tensor parallel splits.
  void products_in_a_row() {
    const ValueId x = any();
    if (shape(x).size() < 2) return;
    const ValueId inner = add(Elementwise::gelu, {times_weight(x, extent(), pick(0, 1) == 0)});
    const ValueId y = times_weight(inner, shape(x).back(), pick(0, 1) == 0);
    know(pick(0, 1) ? add(Elementwise::add, {x, y}) : y);
  }

  // Heads of a value's products with weights, or of a fused one; keys of it or of another.
  void attention() {
    static constexpr int kHeads[] = {1, 2, 3, 4, 6, 8};
    std::vector<ValueId> sequences;
    for (const ValueId id : known_)
      if (shape(id).size() == 3) sequences.push_back(id);
    const auto one = [&] {
      return sequences[static_cast<size_t>(pick(0, static_cast<int>(sequences.size()) - 1))];
    };
    const ValueId x = one();
    const ValueId other = one();
    const ValueId context = shape(other)[0] == shape(x)[0] ? other : x;
    const int64_t n = kHeads[pick(0, 5)], d = pick(1, 4) * 2;
    Extents groups;
    for (int64_t g = 1; g <= n; ++g)
      if (n % g == 0) groups.push_back(g);
    const int64_t m = n / groups[static_cast<size_t>(pick(0, static_cast<int>(groups.size()) - 1))];
    const auto heads = [&](ValueId y, int64_t count) {
      const Extents from = shape(y);
      return add(Permute{{0, 2, 1, 3}}, {add(Reshape{{from[0], from[1], count, d}}, {y})});
    };
    std::vector<ValueId> in;
    if (context == x && pick(0, 1)) {
      const ValueId fused = times_weight(x, (n + 2 * m) * d, true);
      in = {heads(add(Slice{2, 0, n * d, 1}, {fused}), n),
            heads(add(Slice{2, n * d, m * d, 1}, {fused}), m),
            heads(add(Slice{2, (n + m) * d, m * d, 1}, {fused}), m)};
    } else {
      in = {heads(times_weight(x, n * d, false), n), heads(times_weight(context, m * d, true), m),
            heads(times_weight(context, m * d, false), m)};
    }
    const int64_t s = shape(x)[1], t = shape(context)[1];
    Attention op{1 / std::sqrt(static_cast<double>(d))};
    if (pick(0, 1)) op.set_band(band(t));
    if (pick(0, 3) == 0) in.push_back(mask(shape(x)[0], n, s, t));
    const ValueId y = add(op, in);
    const ValueId joined = add(Reshape{{shape(x)[0], s, n * d}}, {add(Permute{{0, 2, 1, 3}}, {y})});
    know(pick(0, 1) ? times_weight(joined, shape(x)[2], pick(0, 1) == 0) : joined);
  }

  // Causal, a window before each query, or one of both sides; from an offset now and then.
  Band band(int64_t t) {
    const int64_t kind = pick(0, 2);
    Band band{kind == 0 ? -1 : pick(0, t), kind == 2 ? pick(0, t / 2) : 0};
    if (pick(0, 3) == 0) band.offset = pick(-2, 4);
    return band;
  }

  ValueId mask(int64_t b, int64_t n, int64_t s, int64_t t) {
    Extents extents = {pick(0, 1) ? b : 1, pick(0, 1) ? n : 1, pick(0, 2) ? s : 1, t};
    if (pick(0, 1)) extents.erase(extents.begin(), extents.begin() + 2);
    if (pick(0, 1)) return constant(extents);
    Tensor allowed = Tensor::zeros(DType::boolean, Dims(extents));
    for (int64_t i = 0; i < allowed.elements(); ++i) allowed.as<bool>()[i] = pick(0, 3) != 0;
    return add(Constant{allowed}, {});
  }

  std::mt19937 random_;
  Graph graph_;
  std::vector<Tensor> inputs_;
  std::vector<ValueId> states_;
  std::vector<ValueId> known_;  // values that later operators may take
};

}  // namespace tutti
