// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "compile/compile.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace tutti {
namespace {

constexpr int kLength = 12;

// A chain of random elementwise operators, casts, views and reductions; all reductions run along
// one axis, wherever views move it.
class RandomChain {
 public:
  explicit RandomChain(unsigned seed) : random_(seed) {
    graph_.functions.push_back({.name = "run"});
    id_ = f().add_input("x", {DType::f32, {4, 6, 33, 2}});
    axis_ = 2;
    while (length_ < kLength) grow();
    f().outputs.push_back({"y", id_});
  }

  const Graph& graph() const { return graph_; }

 private:
  Function& f() { return graph_.functions[0]; }
  const TensorType& type() { return f().type(id_); }
  int rank() { return static_cast<int>(type().shape.size()); }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void add(Op op, std::vector<ValueId> in) {
    id_ = f().add1(std::move(op), std::move(in));
    ++length_;
  }

  void grow() {
    static constexpr Elementwise kUnary[] = {Elementwise::tanh, Elementwise::silu, Elementwise::neg,
                                             Elementwise::abs};
    switch (pick(0, 6)) {
      case 0:
      case 1:
        return add(ElementwiseOp{kUnary[pick(0, 3)]}, {id_});
      case 2: {
        const ValueId number = f().add1(Full{1.5, type().dtype, {}}, {});
        return add(ElementwiseOp{pick(0, 1) ? Elementwise::add : Elementwise::mul}, {id_, number});
      }
      case 3:
        return add(Cast{type().dtype == DType::f32 ? DType::bf16 : DType::f32}, {id_});
      case 4:
        return permute();
      case 5:
        return slice();
      default:
        return reduce();
    }
  }

  void permute() {
    std::vector<int64_t> axes(static_cast<size_t>(rank()));
    std::iota(axes.begin(), axes.end(), 0);
    std::shuffle(axes.begin(), axes.end(), random_);
    axis_ = std::find(axes.begin(), axes.end(), axis_) - axes.begin();
    add(Permute{axes}, {id_});
  }

  // Of an axis that is not reduced.
  void slice() {
    const int64_t axis = (axis_ + pick(1, rank() - 1)) % rank();
    const int64_t extent = type().shape[static_cast<size_t>(axis)].value();
    if (extent > 1) add(Slice{axis, 1, extent - 1, 1}, {id_});
  }

  // And back to every position, as norms and softmax do.
  void reduce() {
    if (length_ + 2 > kLength) return;
    const ValueId before = id_;
    add(Reduce{pick(0, 1) ? "sum" : "max", {axis_}, true}, {id_});
    add(ElementwiseOp{Elementwise::sub}, {before, id_});
  }

  std::mt19937 random_;
  Graph graph_;
  ValueId id_ = kNone;
  int64_t axis_ = 0;
  int length_ = 0;
};

TEST(RandomChains, OfTwelveOperatorsAreOneStep) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const RandomChain chain(seed);
    Program program;
    program.graph = chain.graph();
    EXPECT_EQ(compile_plan(program, {}, {}).run.size(), 1u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tutti
