// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "ops/attention.h"
#include "ops/collectives.h"
#include "ops/constant.h"
#include "ops/gather.h"
#include "ops/views.h"
#include "runtime/waits.h"
#include "shard/mesh.h"
#include "tutti/tutti.h"

// Attention whose queries see the keys of a band, on ranks that share a sequence.
namespace tutti {
namespace {

constexpr int64_t kHeads = 4, kShared = 2, kWidth = 8;

// How keys and values come to as many heads as queries.
enum class Heads { shared, expanded, expanded_rows, listed, alternating };

struct Problem {
  Band band;
  int64_t s = 24, t = 24;
  DType dtype = DType::f32;
  Heads form = Heads::shared;
};

// x [1, t, shared, width] -> [1, shared or heads, t, width]
ValueId in_heads(Function& f, ValueId x, const Problem& p) {
  constexpr int64_t kTimes = kHeads / kShared;
  const auto turned = [&](ValueId id) { return f.add1(Permute{{0, 2, 1, 3}}, {id}); };
  if (p.form == Heads::shared) return turned(x);
  if (p.form == Heads::listed || p.form == Heads::alternating) {
    Tensor list = Tensor::zeros(DType::i64, {kHeads});
    for (int64_t h = 0; h < kHeads; ++h)
      list.as<int64_t>()[h] = p.form == Heads::listed ? h / kTimes : h % kShared;
    return turned(f.add1(Index{{2}}, {x, f.add1(Constant{list}, {})}));
  }
  if (p.form == Heads::expanded_rows) {
    const ValueId apart = f.add1(Reshape{{1, p.t, kShared, 1, kWidth}}, {x});
    const ValueId wide = f.add1(Expand{{1, p.t, kShared, kTimes, kWidth}}, {apart});
    return turned(f.add1(Reshape{{1, p.t, kHeads, kWidth}}, {wide}));
  }
  const ValueId apart = f.add1(Reshape{{1, kShared, 1, p.t, kWidth}}, {turned(x)});
  const ValueId wide = f.add1(Expand{{1, kShared, kTimes, p.t, kWidth}}, {apart});
  return f.add1(Reshape{{1, kHeads, p.t, kWidth}}, {wide});
}

// q [1, s, heads * width] and kv [1, t, 2 * shared * width] -> y like q.
Graph network(const Problem& p) {
  Function f;
  f.name = "run";
  const ValueId q_in = f.add_input("q", {p.dtype, {1, p.s, kHeads * kWidth}}),
                kv = f.add_input("kv", {p.dtype, {1, p.t, 2 * kShared * kWidth}});
  const auto half = [&](int64_t i) {
    constexpr int64_t kColumns = kShared * kWidth;
    const ValueId columns = f.add1(Slice{2, i * kColumns, kColumns, 1}, {kv});
    return in_heads(f, f.add1(Reshape{{1, p.t, kShared, kWidth}}, {columns}), p);
  };
  const ValueId split = f.add1(Reshape{{1, p.s, kHeads, kWidth}}, {q_in});
  const ValueId q = f.add1(Permute{{0, 2, 1, 3}}, {split}), k = half(0), v = half(1);
  Attention op{0.3};
  op.set_band(p.band);
  const ValueId y = f.add1(Permute{{0, 2, 1, 3}}, {f.add1(op, {q, k, v})});
  f.outputs = {{"y", f.add1(Reshape{{1, p.s, kHeads * kWidth}}, {y})}};
  Graph graph;
  graph.functions.push_back(std::move(f));
  return graph;
}

std::shared_ptr<Program> compiled(const Graph& graph, const std::string& mesh,
                                  const std::string& context, int rank) {
  auto program = std::make_shared<Program>();
  program->graph = graph;
  program->mesh = mesh;
  program->context = context;
  CompileOptions options;
  options.rank = rank;
  Plan plan = compile_plan(*program, {}, options);
  program->plans.push_back(std::move(plan));
  return program;
}

// Numbers between -1 and 1, the same in every type.
Tensor numbers_of(const Dims& shape, DType dtype, int64_t seed) {
  Tensor t = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i)
    t.as<float>()[i] = static_cast<float>((i + 17 * seed) * 7919 % 2039) / 1024 - 1;
  return cast(t, dtype);
}

std::vector<Tensor> inputs_of(const Problem& p) {
  return {numbers_of({1, p.s, kHeads * kWidth}, p.dtype, 1),
          numbers_of({1, p.t, 2 * kShared * kWidth}, p.dtype, 2)};
}

bool sees(const Band& band, int64_t i, int64_t j) {
  const int64_t at = i + band.offset;
  return (band.left < 0 || j >= at - band.left) && (band.right < 0 || j <= at + band.right);
}

Tensor plain(const Problem& p) {
  const std::vector<Tensor> in = inputs_of(p);
  std::vector<Tensor> wide;
  for (const Tensor& x : in) wide.push_back(cast(x, DType::f64));
  Tensor y = Tensor::zeros(DType::f64, {1, p.s, kHeads * kWidth});
  for (int64_t h = 0; h < kHeads; ++h)
    for (int64_t i = 0; i < p.s; ++i) {
      const double* q = wide[0].as<double>() + (i * kHeads + h) * kWidth;
      double* out = y.as<double>() + (i * kHeads + h) * kWidth;
      double total = 0;
      for (int64_t j = 0; j < p.t; ++j) {
        if (!sees(p.band, i, j)) continue;
        const int64_t at = (2 * j * kShared + h * kShared / kHeads) * kWidth;
        double score = 0;
        for (int64_t c = 0; c < kWidth; ++c) score += q[c] * wide[1].as<double>()[at + c];
        total += std::exp(0.3 * score);
        for (int64_t c = 0; c < kWidth; ++c)
          out[c] += std::exp(0.3 * score) * wide[1].as<double>()[at + kShared * kWidth + c];
      }
      for (int64_t c = 0; total > 0 && c < kWidth; ++c) out[c] /= total;
    }
  return cast(y, p.dtype);
}

void expect_plain(const Problem& p, int ranks, const std::string& context, double tolerance) {
  SCOPED_TRACE(join(context, " on ", ranks, ", band ", p.band.left, ",", p.band.right, "+",
                    p.band.offset, ", ", p.s, "x", p.t));
  const Graph graph = network(p);
  const Tensor wanted = plain(p);
  run_ranks(ranks, [&](Communicator& all) {
    runtime::Session session(compiled(graph, join("cp=", ranks), context, all.rank()), 1);
    session.bind(all, {}, 60);
    std::vector<Tensor> y = {Tensor::zeros(p.dtype, wanted.shape)};
    session.run(0, inputs_of(p), y);
    EXPECT_LE(relative_error(y[0], wanted), tolerance) << all.rank();
  });
}

TEST(Windows, GiveWhatAPlainLoopGives) {
  for (const Band& band : {Band{-1, 0}, Band{0, 0}, Band{5, 0}, Band{3, 4}, Band{40, 0},
                           Band{4, -1}, Band{-1, 0, -5}, Band{2, 1, 6}})
    for (const int ranks : {2, 3, 4})
      for (const char* context : {"gather_kv", "ring", "ulysses"})
        expect_plain({band}, ranks, context, 2e-6);
  for (const Band& band : {Band{5, 0}, Band{-1, 0, 10}, Band{2, 2, -3}})
    for (const char* context : {"gather_kv", "ring"}) {
      expect_plain({band, 14, 25}, 3, context, 2e-6);
      expect_plain({band, 25, 14}, 3, context, 2e-6);
    }
  expect_plain({{6, 0}}, 4, "ulysses:2,ring:2", 2e-6);
  expect_plain({{-1, 0}}, 4, "ulysses:2,ring:2", 2e-6);
}

TEST(Windows, OfF64AreMergedInF64) {
  for (const Band& band : {Band{}, Band{-1, 0}})
    expect_plain({band, 24, 24, DType::f64}, 3, "ring", 1e-13);
}

// Elements of keys and values that all ranks send, in exchanges and by messages.
struct Sent {
  int64_t exchanged = 0, messages = 0;
  int exchanges = 0;
};
Sent sent(const Problem& p, int ranks, const std::string& context) {
  Sent sum;
  for (int r = 0; r < ranks; ++r) {
    const auto program = compiled(network(p), join("cp=", ranks), context, r);
    for (const Step& step : program->plans[0].run) {
      if (step.op.as<Send>()) sum.messages += elements(step.in[0].shape);
      const auto* op = step.op.as<AllToAllV>();
      if (op == nullptr) continue;
      ++sum.exchanges;
      for (int to = 0; to < ranks; ++to)
        if (to != r) sum.exchanged += op->sends[static_cast<size_t>(to)];
    }
  }
  return sum;
}

// Keys and values that ranks see and have not, when each has a block of the sequence.
int64_t halos(const Problem& p, int ranks) {
  const int64_t each = p.s / ranks;
  int64_t keys = 0;
  for (int r = 0; r < ranks; ++r)
    for (int64_t j = 0; j < p.t; ++j) {
      bool seen = false;
      for (int64_t i = r * each; i < (r + 1) * each; ++i) seen = seen || sees(p.band, i, j);
      keys += seen && j / each != r ? 1 : 0;
    }
  return keys * 2 * kShared * kWidth;
}

TEST(Windows, ExchangeTheirHaloAtOnce) {
  for (const Band& band : {Band{5, 0}, Band{3, 4}, Band{9, 0}, Band{2, 1, 6}})
    for (const int ranks : {2, 3, 4})
      for (const char* context : {"gather_kv", "ring"}) {
        const Sent found = sent({band}, ranks, context);
        EXPECT_EQ(found.exchanged, halos({band}, ranks)) << context << " on " << ranks;
        EXPECT_EQ(found.messages, 0);
        EXPECT_EQ(found.exchanges, ranks);  // keys and values together
      }
}

TEST(Windows, SendHeadsOfKeysOnceHoweverTheyAreRepeated) {
  for (const Heads form : {Heads::expanded, Heads::expanded_rows, Heads::listed})
    for (const char* context : {"gather_kv", "ring"})
      for (const Band& band : {Band{5, 0}, Band{-1, 0}}) {
        Problem p{band};
        const Sent wanted = sent(p, 3, context);
        p.form = form;
        const Sent found = sent(p, 3, context);
        EXPECT_EQ(found.exchanged, wanted.exchanged) << static_cast<int>(form) << context;
        EXPECT_EQ(found.messages, wanted.messages) << static_cast<int>(form) << context;
        expect_plain(p, 3, context, 2e-6);
      }
}

TEST(Windows, SendHeadsOfAnotherOrderAsTheyAre) {
  Problem p{{5, 0}};
  const Sent shared = sent(p, 3, "gather_kv");
  p.form = Heads::alternating;
  EXPECT_EQ(sent(p, 3, "gather_kv").exchanged, shared.exchanged * kHeads / kShared);
}

// Rank i of p has blocks i and 2 p - 1 - i of the 2 p: it needs the blocks up to its last.
TEST(Causal, RanksGetNoKeyBehindTheirLastQuery) {
  const int64_t ranks = 4, block = 3;
  int64_t missing = 0;
  for (int64_t i = 0; i < ranks; ++i) missing += (2 * ranks - i) * block - 2 * block;
  const Sent found = sent({{-1, 0}}, 4, "gather_kv");
  EXPECT_EQ(found.exchanged, missing * 2 * kShared * kWidth);
}

// The late block of owner o is seen by ranks 0 to o only, which it passes first.
TEST(Causal, ARingDropsBlocksThatNobodyBehindSees) {
  const int64_t ranks = 4, block = 3;
  int64_t keys = 0;
  for (int64_t owner = 0; owner < ranks; ++owner)
    for (int64_t hop = 1; hop < ranks; ++hop) keys += hop <= owner ? 2 * block : block;
  const Sent found = sent({{-1, 0}}, 4, "ring");
  EXPECT_EQ(found.messages, keys * 2 * kShared * kWidth);
  EXPECT_EQ(found.exchanged, 0);
}

// The steps of rank 1 of a ring of four: keys come in parts 0 to 2.
class RingPlan : public testing::Test {
 protected:
  RingPlan() : program_(compiled(network({}), "cp=4", "ring", 1)) {
    const std::vector<Step>& steps = program_->plans[0].run;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].op.as<Recv>()) recvs_.push_back(i);
      if (steps[i].op.as<Attention>()) attends_.push_back(i);
    }
    waits_ = runtime::find_waits(steps);
  }
  const Step& step(size_t i) const { return program_->plans[0].run[i]; }
  // The step before which a collective has to have ended.
  size_t waited_for(size_t at) const {
    int32_t call = 0;
    for (size_t i = 0; i < at; ++i) call += runs_on_ranks(step(i).op) ? 1 : 0;
    for (size_t i = 0; i < waits_.size(); ++i)
      for (const int32_t other : waits_[i])
        if (other == call) return i;
    return waits_.size();
  }

  std::shared_ptr<Program> program_;
  std::vector<size_t> recvs_, attends_;
  std::vector<std::vector<int32_t>> waits_;
};

TEST_F(RingPlan, ABlockIsOnItsWayWhileTheOneBeforeIsAttendedTo) {
  ASSERT_EQ(recvs_.size(), 3u);
  ASSERT_EQ(attends_.size(), 4u);
  for (size_t i = 0; i < recvs_.size(); ++i) {
    EXPECT_LT(recvs_[i], attends_[i]) << i;
    EXPECT_GT(waited_for(recvs_[i]), attends_[i]) << i;
  }
}

TEST_F(RingPlan, HoldsTwoBlocksOfOthersAtMost) {
  const auto range = [](const Operand& o) {
    return std::pair{o.offset,
                     o.offset + elements(o.shape) * static_cast<int64_t>(size_of(o.dtype))};
  };
  std::vector<bool> used;  // by byte of the arena
  int64_t block = 0;
  for (const size_t at : recvs_) {
    const Operand& to = step(at).out[0];
    ASSERT_EQ(to.place, Place::arena);
    const auto [begin, end] = range(to);
    block = end - begin;
    used.resize(std::max(used.size(), static_cast<size_t>(end)));
    for (int64_t i = begin; i < end; ++i) used[static_cast<size_t>(i)] = true;
  }
  EXPECT_EQ(block, 24 / 4 * 2 * kShared * kWidth * 4);
  EXPECT_LE(std::count(used.begin(), used.end(), true), 2 * block);
}

}  // namespace
}  // namespace tutti
