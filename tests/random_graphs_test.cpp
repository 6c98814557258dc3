// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <numeric>
#include <random>

#include "compiled_model.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/views.h"

namespace tutti {
namespace {

// A value of a random graph, and what it is in f64 by plain loops written here.
struct Known {
  ValueId id;
  std::vector<int64_t> shape;
  std::vector<double> data;
  double scale = 0;  // the largest magnitude on the way to it: what f32 rounds by

  int64_t size() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
};

// Position `flat` of a row-major shape as indices, and back.
std::vector<int64_t> unravel(int64_t flat, const std::vector<int64_t>& shape) {
  std::vector<int64_t> index(shape.size());
  for (size_t k = shape.size(); k-- > 0; flat /= shape[k]) index[k] = flat % shape[k];
  return index;
}
int64_t ravel(const std::vector<int64_t>& index, const std::vector<int64_t>& shape) {
  int64_t flat = 0;
  for (size_t k = 0; k < shape.size(); ++k) flat = flat * shape[k] + index[k];
  return flat;
}

Known from_index(ValueId id, std::vector<int64_t> shape,
                 const std::function<double(const std::vector<int64_t>&)>& element) {
  Known y{id, std::move(shape), {}};
  for (int64_t i = 0; i < y.size(); ++i) y.data.push_back(element(unravel(i, y.shape)));
  return y;
}

// Builds a random graph and evaluates it while it grows.
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed) {
    graph_.functions.push_back({.name = "run"});
    for (int i = 0; i < 2; ++i) add_input();
    const int nodes = pick(4, 16);
    for (int i = 0; i < nodes; ++i) grow();
    for (int i = 0; i < 3; ++i)
      outputs_.push_back(i == 0 ? known_.back() : known_[static_cast<size_t>(pick(0, last()))]);
    for (size_t i = 0; i < outputs_.size(); ++i)
      f().outputs.push_back({join("y", i), outputs_[i].id});
  }

  const Graph& graph() const { return graph_; }
  const Tensors& inputs() const { return inputs_; }
  const std::vector<Known>& outputs() const { return outputs_; }

 private:
  Function& f() { return graph_.functions[0]; }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  int last() const { return static_cast<int>(known_.size()) - 1; }
  void know(double scale_before, Known y) {
    y.scale = scale_before;
    for (double value : y.data) y.scale = std::max(y.scale, std::abs(value));
    known_.push_back(std::move(y));
  }
  const Known& any() { return known_[static_cast<size_t>(pick(std::max(0, last() - 4), last()))]; }

  static Shape symbolic(const std::vector<int64_t>& shape) {
    return Shape(shape.begin(), shape.end());
  }

  Tensor random_tensor(const std::vector<int64_t>& shape) {
    Tensor t = Tensor::zeros(DType::f32, Dims(shape));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] = normal(random_);
    return t;
  }

  Known of_tensor(ValueId id, const std::vector<int64_t>& shape, const Tensor& t) {
    return {id, shape, {t.as<float>(), t.as<float>() + t.elements()}};
  }

  void add_input() {
    static constexpr int64_t kExtents[] = {1, 2, 3, 4, 6, 7, 12, 33};
    std::vector<int64_t> shape;
    const int rank = pick(1, 4);
    for (int i = 0; i < rank; ++i) shape.push_back(kExtents[pick(0, rank > 2 ? 5 : 7)]);
    const std::string name = join("x", inputs_.size());
    const Tensor t = random_tensor(shape);
    inputs_[name] = t;
    know(0, of_tensor(f().add_input(name, {DType::f32, symbolic(shape)}), shape, t));
  }

  void grow() {
    switch (pick(0, 9)) {
      case 0:
      case 1:
        return unary();
      case 2:
      case 3:
        return binary();
      case 4:
        return permute();
      case 5:
        return reshape();
      case 6:
        return slice();
      case 7:
        return concat();
      case 8:
        return pick(0, 1) ? reduce() : softmax();
      default:
        return matmul();
    }
  }

  void unary() {
    const Known x = any();
    static const std::pair<Elementwise, double (*)(double)> kFunctions[] = {
        {Elementwise::tanh, [](double v) { return std::tanh(v); }},
        {Elementwise::sigmoid, [](double v) { return 1 / (1 + std::exp(-v)); }},
        {Elementwise::silu, [](double v) { return v / (1 + std::exp(-v)); }},
        {Elementwise::neg, [](double v) { return -v; }},
        {Elementwise::abs, [](double v) { return std::abs(v); }},
        {Elementwise::relu, [](double v) { return std::max(v, 0.0); }},
        {Elementwise::gelu, [](double v) { return v / 2 * (1 + std::erf(v * M_SQRT1_2)); }},
        {Elementwise::sin, [](double v) { return std::sin(v); }},
    };
    const auto& [fn, formula] = kFunctions[pick(0, 7)];
    const auto& apply = formula;
    know(x.scale, from_index(f().add1(ElementwiseOp{fn}, {x.id}), x.shape, [&](const auto& i) {
           return apply(x.data[static_cast<size_t>(ravel(i, x.shape))]);
         }));
  }

  // With a value of the same shape, one that broadcasts, or a number.
  void binary() {
    const Known a = any();
    Known b = any();
    if (b.shape != a.shape) {
      std::vector<int64_t> shape(a.shape.end() - pick(0, static_cast<int>(a.shape.size())),
                                 a.shape.end());
      for (int64_t& extent : shape)
        if (pick(0, 2) == 0) extent = 1;
      const Tensor t = random_tensor(shape);
      b = of_tensor(f().add1(Constant{t}, {}), shape, t);
    }
    const bool multiply = pick(0, 1) == 0;
    const ValueId id =
        f().add1(ElementwiseOp{multiply ? Elementwise::mul : Elementwise::add}, {a.id, b.id});
    know(std::max(a.scale, b.scale), from_index(id, a.shape, [&](const auto& i) {
           std::vector<int64_t> at(i.end() - static_cast<std::ptrdiff_t>(b.shape.size()), i.end());
           for (size_t k = 0; k < at.size(); ++k)
             if (b.shape[k] == 1) at[k] = 0;
           const double x = a.data[static_cast<size_t>(ravel(i, a.shape))];
           const double y = b.data[static_cast<size_t>(ravel(at, b.shape))];
           return multiply ? x * y : x + y;
         }));
  }

  void permute() {
    const Known x = any();
    std::vector<int64_t> axes(x.shape.size()), shape;
    std::iota(axes.begin(), axes.end(), 0);
    std::shuffle(axes.begin(), axes.end(), random_);
    for (int64_t axis : axes) shape.push_back(x.shape[static_cast<size_t>(axis)]);
    know(x.scale, from_index(f().add1(Permute{axes}, {x.id}), shape, [&](const auto& i) {
           std::vector<int64_t> from(i.size());
           for (size_t k = 0; k < i.size(); ++k) from[static_cast<size_t>(axes[k])] = i[k];
           return x.data[static_cast<size_t>(ravel(from, x.shape))];
         }));
  }

  // Joins two axes, or splits one by a divisor.
  void reshape() {
    const Known x = any();
    std::vector<int64_t> shape = x.shape;
    const auto axis = static_cast<size_t>(pick(0, static_cast<int>(shape.size()) - 1));
    if (pick(0, 1) == 0 && axis + 1 < shape.size()) {
      shape[axis] *= shape[axis + 1];
      shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1);
    } else if (shape.size() < 5) {
      const int64_t divisor = shape[axis] % 3 == 0 ? 3 : shape[axis] % 2 == 0 ? 2 : 1;
      shape[axis] /= divisor;
      shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, divisor);
    }
    know(x.scale, {f().add1(Reshape{symbolic(shape)}, {x.id}), shape, x.data});
  }

  void slice() {
    const Known x = any();
    const int axis = pick(0, static_cast<int>(x.shape.size()) - 1);
    const auto k = static_cast<size_t>(axis);
    const int64_t start = pick(0, static_cast<int>(x.shape[k]) - 1);
    const bool back = pick(0, 3) == 0;
    const int64_t size = back ? start + 1 : pick(1, static_cast<int>(x.shape[k] - start));
    std::vector<int64_t> shape = x.shape;
    shape[k] = size;
    const ValueId id = f().add1(Slice{axis, start, size, back ? -1 : 1}, {x.id});
    know(x.scale, from_index(id, shape, [&](std::vector<int64_t> i) {
           i[k] = start + (back ? -i[k] : i[k]);
           return x.data[static_cast<size_t>(ravel(i, x.shape))];
         }));
  }

  void concat() {
    const Known a = any();
    if (a.size() > 2000) return;
    const Known b = any();
    const Known& second = b.shape == a.shape ? b : a;
    const int axis = pick(0, static_cast<int>(a.shape.size()) - 1);
    const auto k = static_cast<size_t>(axis);
    std::vector<int64_t> shape = a.shape;
    shape[k] *= 2;
    const ValueId id = f().add1(Concat{axis}, {a.id, second.id});
    know(std::max(a.scale, second.scale), from_index(id, shape, [&](std::vector<int64_t> i) {
           const bool first = i[k] < a.shape[k];
           if (!first) i[k] -= a.shape[k];
           return (first ? a : second).data[static_cast<size_t>(ravel(i, a.shape))];
         }));
  }

  void reduce() {
    const Known x = any();
    std::vector<int64_t> axes, shape;
    for (size_t k = 0; k < x.shape.size(); ++k) {
      const bool reduced = pick(0, 1) == 0;
      if (reduced) axes.push_back(static_cast<int64_t>(k));
      shape.push_back(reduced ? 1 : x.shape[k]);
    }
    static const char* const kNames[] = {"sum", "mean", "max"};
    const std::string fn = kNames[pick(0, 2)];
    Known y{f().add1(Reduce{fn, axes, true}, {x.id}), shape, {}};
    y.data.assign(static_cast<size_t>(y.size()), fn == "max" ? -INFINITY : 0);
    for (int64_t i = 0; i < x.size(); ++i) {
      std::vector<int64_t> at = unravel(i, x.shape);
      for (int64_t axis : axes) at[static_cast<size_t>(axis)] = 0;
      double& sum = y.data[static_cast<size_t>(ravel(at, shape))];
      const double value = x.data[static_cast<size_t>(i)];
      sum = fn == "max" ? std::max(sum, value) : sum + value;
    }
    if (fn == "mean")
      for (double& value : y.data)
        value *= static_cast<double>(y.size()) / static_cast<double>(x.size());
    know(x.scale, y);
    if (pick(0, 1) == 0) return;
    // Back to the shape it came from, as a norm does.
    const ValueId id = f().add1(ElementwiseOp{Elementwise::sub}, {x.id, y.id});
    know(x.scale, from_index(id, x.shape, [&](std::vector<int64_t> i) {
           const double value = x.data[static_cast<size_t>(ravel(i, x.shape))];
           for (int64_t axis : axes) i[static_cast<size_t>(axis)] = 0;
           return value - y.data[static_cast<size_t>(ravel(i, shape))];
         }));
  }

  void softmax() {
    const Known x = any();
    const int axis = pick(0, static_cast<int>(x.shape.size()) - 1);
    const auto k = static_cast<size_t>(axis);
    Known y{f().add1(Softmax{axis}, {x.id}), x.shape, x.data};
    for (int64_t i = 0; i < x.size(); ++i) {
      std::vector<int64_t> at = unravel(i, x.shape);
      double largest = -INFINITY, sum = 0;
      for (at[k] = 0; at[k] < x.shape[k]; ++at[k])
        largest = std::max(largest, x.data[static_cast<size_t>(ravel(at, x.shape))]);
      for (at[k] = 0; at[k] < x.shape[k]; ++at[k])
        sum += std::exp(x.data[static_cast<size_t>(ravel(at, x.shape))] - largest);
      y.data[static_cast<size_t>(i)] = std::exp(x.data[static_cast<size_t>(i)] - largest) / sum;
    }
    know(x.scale, y);
  }

  void matmul() {
    const Known a = any();
    if (a.shape.size() < 2) return;
    const int64_t k = a.shape.back(), n = pick(1, 20);
    Tensor w = random_tensor({k, n});
    for (int64_t i = 0; i < w.elements(); ++i) w.as<float>()[i] /= std::sqrt(static_cast<float>(k));
    const std::string name = join("w", graph_.residents.size());
    const TensorType type{DType::f32, {k, n}};
    const ResidentId resident = graph_.add_resident({name, type, Resident::Kind::bound, w});
    std::vector<int64_t> shape = a.shape;
    shape.back() = n;
    const ValueId id = f().add1(Matmul{}, {a.id, f().read(resident, name, type)});
    know(a.scale, from_index(id, shape, [&](std::vector<int64_t> i) {
           const int64_t column = i.back();
           double sum = 0;
           for (i.back() = 0; i.back() < k; ++i.back())
             sum += a.data[static_cast<size_t>(ravel(i, a.shape))] *
                    static_cast<double>(w.as<float>()[i.back() * n + column]);
           return sum;
         }));
  }

  std::mt19937 random_;
  Graph graph_;
  Tensors inputs_;
  std::vector<Known> known_, outputs_;
};

void check(unsigned seed, bool fuse, const char* matmul) {
  const RandomGraph random(seed);
  CompileOptions options;
  options.fuse = fuse;
  options.matmul = matmul;
  CompiledModel model(random.graph(), options);
  const Tensors found = model.run(random.inputs());
  for (size_t o = 0; o < random.outputs().size(); ++o) {
    const Known& expected = random.outputs()[o];
    const Tensor y = cast(found.at(join("y", o)), DType::f64);
    ASSERT_EQ(y.shape, Dims(expected.shape));
    double largest = 0, difference = 0;
    for (size_t i = 0; i < expected.data.size(); ++i) {
      largest = std::max(largest, std::abs(expected.data[i]));
      const double d = std::abs(y.as<double>()[i] - expected.data[i]);
      difference = std::max(difference, std::isnan(d) ? INFINITY : d);
    }
    // Where terms cancel, f32 knows what is left to a part of the terms.
    ASSERT_LE(difference, 5e-5 * std::max(largest, expected.scale / 100))
        << "seed " << seed << (fuse ? " fused" : " not fused") << " by " << matmul << ", output "
        << o;
  }
}

int graphs() { return std::getenv("TUTTI_LONG") != nullptr ? 300 : 60; }

// Each by one implementation of matrix products.
class RandomGraphs : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!has_matmul(GetParam())) GTEST_SKIP() << "this build has no " << GetParam();
  }
};

INSTANTIATE_TEST_SUITE_P(, RandomGraphs, testing::Values("own", "onednn"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(RandomGraphs, AgreeWithPlainEvaluation) {
  for (int seed = 0; seed < graphs(); ++seed)
    for (bool fuse : {false, true})
      ASSERT_NO_FATAL_FAILURE(check(static_cast<unsigned>(seed), fuse, GetParam()));
}

// A reduction of what another reduction gives for each of its positions; a mean that cancels.
TEST_P(RandomGraphs, AgreeForSeedsThatOnceFailed) {
  for (unsigned seed : {4183019738u, 2108925683u}) check(seed, true, GetParam());
}

TEST_P(RandomGraphs, AgreeForAFreshSeed) {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  for (unsigned i = 0; i < static_cast<unsigned>(graphs()) / 4; ++i)
    for (bool fuse : {false, true}) ASSERT_NO_FATAL_FAILURE(check(seed + i, fuse, GetParam()));
}

}  // namespace
}  // namespace tutti
