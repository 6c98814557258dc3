// SPDX-License-Identifier: Apache-2.0
#include "shard/factors.h"

#include <map>
#include <numeric>
#include <ostream>
#include <set>

#include "ops/all.h"
#include "ops/attention.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/interpret.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/ops_for_tests.h"
#include "ops/pool.h"
#include "ops/reduce.h"
#include "ops/resize.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "ops/views.h"
#include "shard/parts.h"

// Each operator is run whole, and on parts as its factors say.
namespace tutti::shard {

struct Case {
  Op op;
  std::vector<TensorType> in;
};

void PrintTo(const Case& c, std::ostream* os) {
  *os << c.op.name();
  for (const auto& [name, value] : c.op.attributes()) *os << " " << name << "=" << value;
  for (const TensorType& type : c.in) *os << " " << to_string(type);
}

namespace {

using Indices = std::vector<int64_t>;

TensorType f32(std::vector<int64_t> shape) {
  return {DType::f32, Shape(shape.begin(), shape.end())};
}
TensorType typed(DType dtype, std::vector<int64_t> shape) {
  return {dtype, Shape(shape.begin(), shape.end())};
}

std::vector<Case> elementwise_cases() {
  std::vector<Case> list;
  for (int i = 0; i < elementwise_count(); ++i) {
    const auto fn = static_cast<Elementwise>(i);
    for (const DType dtype : {DType::f32, DType::boolean, DType::i64}) {
      std::vector<TensorType> in = {typed(dtype, {3, 1, 4}), typed(dtype, {5, 4}),
                                    typed(dtype, {1})};
      in.resize(static_cast<size_t>(info(fn).arity));
      if (fn == Elementwise::select) in[0].dtype = DType::boolean;
      try {
        ElementwiseOp{fn}.infer(in);
      } catch (const Error&) {
        continue;
      }
      list.push_back({ElementwiseOp{fn}, in});
      break;
    }
  }
  return list;
}

std::vector<Case> cases() {
  std::vector<Case> list = elementwise_cases();
  const std::vector<Case> more = {
      {Cast{DType::bf16}, {f32({3, 4})}},
      {Expand{{2, 3, 5, 4}}, {f32({3, 1, 4})}},
      {Permute{{2, 0, 1}}, {f32({3, 5, 4})}},
      {Pad{{0, 1, 0}, {0, 0, 2}}, {f32({3, 4, 5})}},
      {Reduce{"sum", {0, 2}, false}, {f32({3, 4, 5})}},
      {Reduce{"sum", {1}, true}, {f32({3, 4, 5})}},
      {Reduce{"sum", {1}, true}, {typed(DType::i64, {3, 4})}},
      {Reduce{"mean", {1}, false}, {f32({3, 4, 5})}},
      {Reduce{"mean", {0, 2}, true}, {f32({3, 4, 5})}},
      {Reduce{"max", {0}, true}, {f32({3, 4, 5})}},
      {Reduce{"min", {1}, false}, {f32({3, 4, 5})}},
      {Reduce{"prod", {1}, false}, {f32({3, 4})}},
      {Reduce{"any", {1}, false}, {typed(DType::boolean, {3, 4})}},
      {Reduce{"all", {1}, true}, {typed(DType::boolean, {3, 4})}},
      {Reduce{"max", {1}, false}, {typed(DType::i64, {3, 4})}},
      {ArgReduce{"max", 1, false}, {f32({3, 4, 5})}},
      {ArgReduce{"min", 0, true}, {f32({3, 4, 5})}},
      {Scan{"sum", 1}, {f32({3, 4, 5})}},
      {Softmax{1}, {f32({3, 4, 5})}},
      {LayerNorm{1}, {f32({3, 4, 5}), f32({5}), f32({5})}},
      {LayerNorm{2}, {f32({3, 4, 5}), f32({4, 5})}},
      {RmsNorm{1}, {f32({3, 4, 5}), f32({5})}},
      {RmsNorm{2}, {f32({3, 4, 5})}},
      {GroupNorm{2}, {f32({3, 4, 5, 2}), f32({4}), f32({4})}},
      {TopK{1, 2}, {f32({3, 4, 5})}},
      {Matmul{}, {f32({3, 4}), f32({4, 5})}},
      {Matmul{}, {f32({2, 1, 3, 4}), f32({6, 4, 5})}},
      {Matmul{}, {f32({3, 4}), f32({4, 5}), f32({5})}},
      {Matmul{}, {f32({2, 3, 4}), f32({4, 5}), f32({2, 1, 5})}},
      {Matmul{}, {f32({3, 4}), f32({4, 5}), f32({3, 1})}},
      {Matmul{}, {f32({2, 3, 4}), f32({4, 5}), f32({})}},
      {Conv{{1, 1}, {1, 1}, {1, 1}, {1, 1}}, {f32({2, 3, 5, 5}), f32({4, 3, 3, 3}), f32({4})}},
      {Conv{{1}, {0}, {0}, {1}, 2}, {f32({2, 4, 6}), f32({6, 2, 3})}},
      {Conv{{2}, {0}, {0}, {1}, 1, true, {0}}, {f32({2, 4, 6}), f32({4, 5, 3}), f32({5})}},
      {Pool{"max", {2}, {2}, {0}, {1}}, {f32({2, 3, 6})}},
      {AdaptivePool{"avg", {2}}, {f32({2, 3, 6})}},
      {Resize{"nearest", {4, 4}, {0, 0}}, {f32({2, 3, 2, 2})}},
      {Attention{0.5}, {f32({2, 4, 3, 5}), f32({2, 4, 6, 5}), f32({2, 4, 6, 7})}},
      {Attention{0.5},
       {f32({2, 4, 3, 5}), f32({2, 4, 6, 5}), f32({2, 4, 6, 5}), f32({2, 1, 3, 6})}},
      {Attention{0.5},
       {f32({2, 4, 3, 5}), f32({2, 4, 6, 5}), f32({2, 4, 6, 5}), typed(DType::boolean, {3, 6})}},
      {Take{1}, {f32({3, 4, 5}), typed(DType::i64, {2, 6})}},
      {Take{0}, {f32({3, 4}), typed(DType::i64, {})}},
      {Take{0}, {typed(DType::boolean, {3, 4}), typed(DType::i64, {5})}},
      {Gather{1}, {f32({3, 4, 5}), typed(DType::i64, {3, 2, 4})}},
      {Index{{1}}, {f32({3, 4, 5}), typed(DType::i64, {2, 6})}},
      {Index{{0, 1}}, {f32({3, 4, 5}), typed(DType::i64, {2, 1}), typed(DType::i64, {6})}},
      {Index{{0, 2}}, {f32({3, 4, 5}), typed(DType::i64, {6}), typed(DType::i64, {})}},
      {SliceUpdate{1, 2, 1}, {f32({3, 6, 4}), f32({3, 2, 4})}},
      {IndexPut{{1}}, {f32({3, 5, 4}), f32({3, 2, 4}), typed(DType::i64, {2})}},
      {IndexPut{{1}, true}, {f32({3, 5, 4}), f32({1, 4}), typed(DType::i64, {2})}},
      // Values of axes that are not adjacent start with the indices.
      {IndexPut{{0, 2}},
       {f32({3, 5, 4, 6}), f32({2, 5, 6}), typed(DType::i64, {2}), typed(DType::i64, {1})}},
      {IndexPut{{1, 2}},
       {f32({3, 5, 4, 6}), f32({3, 2, 2, 6}), typed(DType::i64, {2, 2}), typed(DType::i64, {2})}},
      {Scatter{1}, {f32({3, 5, 4}), typed(DType::i64, {3, 2, 4}), f32({3, 2, 4})}},
      {Scatter{1, "sum"}, {f32({3, 5, 4}), typed(DType::i64, {2, 2, 4}), f32({3, 6, 4})}},
  };
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

Tensor random_of(const TensorType& type, unsigned seed) {
  Tensor t = random_tensor(type.dtype, constant_dims(type.shape), seed);
  if (type.dtype == DType::i64)  // an index of any dimension
    for (int64_t i = 0; i < t.elements(); ++i) t.as<int64_t>()[i] = (i * 7 + 1) % 3;
  return t;
}

// The elements at some indices of one dimension, by plain loops.
Tensor selected(const Tensor& t, int dim, const Indices& indices) {
  Dims shape = t.shape;
  shape[dim] = static_cast<int64_t>(indices.size());
  const Values all = values_of(t);
  int64_t inner = 1;
  for (int d = dim + 1; d < t.rank(); ++d) inner *= t.shape[d];
  Values some;
  const int64_t outer = t.shape[dim] == 0 ? 0 : t.elements() / (inner * t.shape[dim]);
  for (int64_t o = 0; o < outer; ++o)
    for (const int64_t i : indices)
      for (int64_t k = 0; k < inner; ++k)
        some.push_back(all[static_cast<size_t>((o * t.shape[dim] + i) * inner + k)]);
  return tensor_of(t.dtype, shape, some);
}

// Which indices of each factor a rank has; none named: all.
using Part = std::vector<std::optional<Indices>>;

Tensor selected(Tensor t, const std::vector<int>& dims, const Part& part) {
  for (size_t d = 0; d < dims.size(); ++d)
    if (dims[d] >= 0 && part[static_cast<size_t>(dims[d])])
      t = selected(t, static_cast<int>(d), *part[static_cast<size_t>(dims[d])]);
  return t;
}

class FactorsOf : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    for (size_t i = 0; i < c.in.size(); ++i)
      in_.push_back(random_of(c.in[i], static_cast<unsigned>(i)));
    out_ = run_op(c.op, in_);
    const auto found = factors(c.op, c.in, c.op.infer(c.in));
    ASSERT_TRUE(found.has_value());
    f_ = *found;
  }

  // What a rank gets of a part; addends are zeros for all but the first rank of a sum.
  std::vector<Tensor> run(const Part& part, bool with_addends = true) const {
    Op op = GetParam().op;
    if (op.as<Expand>()) op = Expand{to_shape(selected(out_[0], f_.out[0], part).shape)};
    std::vector<Tensor> in;
    Function local;
    std::vector<ValueId> ids;
    for (size_t i = 0; i < in_.size(); ++i) {
      in.push_back(contiguous(selected(in_[i], f_.in[i], part)));
      if (f_.addend[i] && !with_addends) in.back() = Tensor::zeros(in_[i].dtype, in.back().shape);
      ids.push_back(local.add_input(join("x", i), {in[i].dtype, to_shape(in[i].shape)}));
    }
    Held x{in_.empty() ? Dims{} : in_[0].shape, {}};
    for (int d = 0; d < x.extents.rank(); ++d) {
      const int factor = f_.in[0][static_cast<size_t>(d)];
      Ranges& ranges = x.ranges.emplace_back();
      if (factor < 0 || !part[static_cast<size_t>(factor)])
        ranges.add({0, x.extents[d]});
      else
        for (const int64_t i : *part[static_cast<size_t>(factor)]) ranges.add({i, i + 1});
    }
    for (const ValueId id : add_on_part(local, op, x, ids, "y", ""))
      local.outputs.push_back({"", id});
    cpu::Pool pool(1);
    return interpret(local, in, {}, pool).outputs;
  }

  void expect_part(const Part& part) const {
    const std::vector<Tensor> found = run(part);
    for (size_t o = 0; o < out_.size(); ++o) {
      const Tensor wanted = selected(out_[o], f_.out[o], part);
      ASSERT_EQ(found[o].shape, wanted.shape);
      expect_values(found[o], values_of(wanted), 1e-5);
    }
  }

  double together(double a, double b) const {
    switch (f_.reduced_by.value_or(comm::Reduce::sum)) {
      case comm::Reduce::prod:
        return a * b;
      case comm::Reduce::max:
        return std::max(a, b);
      case comm::Reduce::min:
        return std::min(a, b);
      default:
        return a + b;
    }
  }

  static Indices every(int64_t extent, int64_t first, int64_t step) {
    Indices list;
    for (int64_t i = first; i < extent; i += step) list.push_back(i);
    return list;
  }

  std::vector<Tensor> in_, out_;
  Factors f_;
};

TEST_P(FactorsOf, GiveTheSamePartOfTheResultForAnyIndices) {
  for (size_t i = 0; i < f_.list.size(); ++i) {
    const Factors::Factor& factor = f_.list[i];
    if (factor.whole || !factor.in_result) continue;
    SCOPED_TRACE(testing::Message() << "factor " << i << " of " << factor.extent);
    for (const int64_t first : {int64_t{0}, int64_t{1}, factor.extent}) {
      Part part(f_.list.size());
      part[i] = every(factor.extent, first, 2);
      std::reverse(part[i]->begin(), part[i]->end());
      ASSERT_NO_FATAL_FAILURE(expect_part(part));
    }
  }
}

TEST_P(FactorsOf, MayBeSplitAllAtOnce) {
  for (int64_t first : {0, 1}) {
    Part part(f_.list.size());
    for (size_t i = 0; i < f_.list.size(); ++i)
      if (!f_.list[i].whole && f_.list[i].in_result && f_.list[i].extent > 1)
        part[i] = every(f_.list[i].extent, first, 2);
    expect_part(part);
  }
}

TEST_P(FactorsOf, LeaveAddendsOfTheResultWhereTheyAreNotInIt) {
  for (size_t i = 0; i < 2 * f_.list.size(); ++i) {
    const Factors::Factor& factor = f_.list[i / 2];
    if (factor.whole || factor.in_result) continue;
    Part even(f_.list.size()), odd = even;
    // Every other index, or all and nothing.
    even[i / 2] = every(factor.extent, 0, i % 2 == 0 ? 2 : 1);
    odd[i / 2] = every(factor.extent, i % 2 == 0 ? 1 : factor.extent, 2);
    const auto one = run(even), other = run(odd, false);
    for (size_t o = 0; o < out_.size(); ++o) {
      Values both = values_of(one[o]);
      const Values more = values_of(other[o]);
      for (size_t k = 0; k < both.size(); ++k) both[k] = together(both[k], more[k]);
      expect_values(out_[o], both, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, FactorsOf, testing::ValuesIn(cases()));

bool made_after_sharding(std::string_view name) {
  for (const char* made :
       {"fused_matmul", "fused_conv", "pack_matrix", "winograd_weights", "region"})
    if (name == made) return true;
  return false;
}

TEST(Factors, AreKnownOfEveryOperatorOrARuleOrAReason) {
  std::set<std::string> known;
  for (const Case& c : cases())
    if (factors(c.op, c.in, c.op.infer(c.in))) known.emplace(c.op.name());
  for (const OpDef& def : all_ops()) {
    const Op op = make_op(def.name, {});
    const int rules = static_cast<int>(known.count(std::string(def.name))) + has_own_rule(op) +
                      !reason_to_run_whole(op).empty() + made_after_sharding(def.name);
    EXPECT_EQ(rules, 1) << def.name << ": factors with a case here, a rule of its own, or a reason";
  }
}

bool may_split(const Factors& f, size_t operand, size_t dim) {
  const int factor = f.in[operand][dim];
  return factor >= 0 && !f.list[static_cast<size_t>(factor)].whole;
}

std::string splittable(const Case& c) {
  const auto f = factors(c.op, c.in, c.op.infer(c.in));
  std::string text;
  for (size_t i = 0; i < c.in.size(); ++i) {
    text += i ? " " : "";
    for (size_t d = 0; d < c.in[i].shape.size(); ++d) text += may_split(*f, i, d) ? "s" : "-";
  }
  return text;
}

// What networks are split by is not lost unseen.
TEST(Factors, SplitWhatNetworksAreSplitBy) {
  EXPECT_EQ(splittable({Matmul{}, {f32({2, 3, 4}), f32({4, 5}), f32({5})}}), "sss ss s");
  EXPECT_EQ(splittable({ElementwiseOp{Elementwise::mul}, {f32({2, 3}), f32({1, 3})}}), "ss -s");
  EXPECT_EQ(splittable({RmsNorm{1}, {f32({3, 4, 5}), f32({5})}}), "ss- -");
  EXPECT_EQ(splittable({Softmax{1}, {f32({3, 4, 5})}}), "s-s");
  EXPECT_EQ(splittable({Take{0}, {f32({9, 4}), typed(DType::i64, {2, 3})}}), "ss ss");
  EXPECT_EQ(splittable({Attention{}, {f32({2, 4, 3, 5}), f32({2, 4, 6, 5}), f32({2, 4, 6, 7})}}),
            "sss- ss-- ss-s");
  EXPECT_EQ(splittable({Attention{}, {f32({2, 4, 3, 5}), f32({2, 2, 6, 5}), f32({2, 2, 6, 7})}}),
            "sss- s--- s--s");
  EXPECT_EQ(splittable({Conv{{1}, {0}, {0}, {1}}, {f32({2, 3, 5}), f32({4, 3, 3})}}), "ss- ss-");
  const TensorType cache = f32({2, 4, 9, 8}), news = f32({2, 4, 3, 8});
  EXPECT_EQ(splittable({IndexPut{{2}}, {cache, news, typed(DType::i64, {3})}}), "ss-s ss-s -");
  EXPECT_EQ(splittable({SliceUpdate{2, 1, 1}, {cache, news}}), "ss-s ss-s");
  EXPECT_EQ(splittable({Scatter{2}, {cache, typed(DType::i64, {2, 4, 3, 8}), news}}),
            "ss-s ss-s ss-s");
}

}  // namespace
}  // namespace tutti::shard
