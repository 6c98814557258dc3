// SPDX-License-Identifier: Apache-2.0
#include "plan/plan_check.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "ir/text.h"
#include "ops/all.h"
#include "ops/fused_matmul.h"
#include "plan/plan_codec.h"

namespace tutti {
namespace {

// y = x + w for s0 = 2, and state s = y; a constant beside it.
Program program() {
  Program p;
  p.graph = parse_graph(R"(tutti.graph 1
symbol s0 in 1..4
bound @w : f32[3]
carried @s : f32[2, 3]
function run(%x : f32[s0, 3]) {
  %y : f32[s0, 3] = add(%x, @w)
  output y = %y
  output nothing = none
}
)",
                        make_op);
  p.graph.residents[0].data = Tensor::zeros(DType::f32, {3});
  Plan plan;
  plan.symbols = {{"s0", 2}};
  plan.inputs = {{"x", DType::f32, {2, 3}}};
  plan.outputs = {{"y", DType::f32, {2, 3}}, {.name = "nothing", .present = false}};
  plan.constants = {Tensor::zeros(DType::f32, {2, 3})};
  plan.arena_bytes = 64;
  const Operand x{Place::input, 0, 0, DType::f32, {2, 3}, {3, 1}};
  const Operand w{Place::resident, 0, 0, DType::f32, {3}, {1}};
  const Operand a{Place::arena, 0, 8, DType::f32, {2, 3}, {3, 1}};
  const Operand y{Place::output, 0, 0, DType::f32, {2, 3}, {3, 1}};
  const Operand s{Place::resident, 1, 0, DType::f32, {2, 3}, {3, 1}};
  const Operand c{Place::constant, 0, 0, DType::f32, {2, 3}, {3, 1}};
  const Op add = make_op("add", {});
  plan.run = {{add, "plain", {x, w}, {a}, "blocks.0"},
              {add, "plain", {a, c}, {y}, {}},
              {add, "plain", {a, c}, {s}, {}}};
  p.plans = {plan};
  return p;
}

TEST(PlanCheck, AcceptsAPlan) { EXPECT_NO_THROW(check_plans(program())); }

struct Fault {
  const char* words;  // of the message
  std::function<void(Plan&)> make;
};

TEST(PlanCheck, NamesWhatIsWrong) {
  const int64_t huge = int64_t{1} << 62;
  const Fault faults[] = {
      {"symbol s1", [](Plan& p) { p.symbols["s1"] = 1; }},
      {"s0 is 5", [](Plan& p) { p.symbols["s0"] = 5; }},
      {"input x",
       [](Plan& p) {
         p.inputs[0].shape = {3, 3};
       }},
      {"input z", [](Plan& p) { p.inputs[0].name = "z"; }},
      {"marked held", [](Plan& p) { p.inputs[0].held = true; }},
      {"output y", [](Plan& p) { p.outputs[0].dtype = DType::f64; }},
      {"output nothing", [](Plan& p) { p.outputs[1].present = true; }},
      {"1 outputs", [](Plan& p) { p.outputs.pop_back(); }},
      {"memory of -1", [](Plan& p) { p.arena_bytes = -1; }},
      {"memory of", [&](Plan& p) { p.held_bytes = huge; }},
      {"step 0 of run (add, blocks.0): operand 1", [](Plan& p) { p.run[0].in[1].index = 2; }},
      {"operand 1", [](Plan& p) { p.run[0].in[1].index = -1; }},
      {"operand 1", [](Plan& p) { p.run[0].in[1].offset = 4; }},
      {"operand 1", [](Plan& p) { p.run[0].in[1].offset = -4; }},
      {"operand 1", [&](Plan& p) { p.run[0].in[1].strides = {huge}; }},
      {"operand 1", [](Plan& p) { p.run[0].in[1].strides = {-1}; }},
      {"operand 0",
       [](Plan& p) {
         p.run[0].in[0].strides = {4, 1};
       }},
      {"as f64", [](Plan& p) { p.run[1].in[1] = {Place::constant, 0, 0, DType::f64, {1}, {1}}; }},
      {"result 0", [](Plan& p) { p.run[0].out[0].offset = 48; }},
      {"multiple of 4", [](Plan& p) { p.run[0].out[0].offset = 2; }},
      {"result 0 is f32[3, 2]",
       [](Plan& p) {
         p.run[0].out[0].shape = {3, 2};
       }},
      {"0 results", [](Plan& p) { p.run[0].out.clear(); }},
      {"may not write", [](Plan& p) { p.run[1].out[0].place = Place::input; }},
      {"may not write", [](Plan& p) { p.run[1].out[0].place = Place::constant; }},
      {"may not write",
       [](Plan& p) {
         p.run[1].out[0] = {Place::resident, 0, 0, DType::f32, {2, 3}, {0, 1}};
       }},
      {"leaves output 1", [](Plan& p) { p.run[1].out[0].index = 1; }},
      {"add", [](Plan& p) { p.run[0].in.pop_back(); }},
  };
  for (const Fault& fault : faults) {
    Program p = program();
    fault.make(p.plans[0]);
    try {
      check_plans(p);
      ADD_FAILURE() << "accepted: " << fault.words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(fault.words), std::string::npos)
          << fault.words << ": " << error.what();
    }
  }
}

TEST(PlanCheck, NamesWhatIsWrongWithWhereStateIs) {
  using shard::Table;
  const auto error = [](int64_t extent, shard::AxisSet axes, std::vector<shard::Ranges> by_rank,
                        ResidentId resident = 1, int32_t rank = 0) {
    Program p = program();
    p.mesh = "tp=2";
    p.plans[0].rank = rank;
    p.plans[0].run.pop_back();  // it writes all of the state
    p.states[resident] = {{Table(extent, axes, std::move(by_rank)), std::nullopt}, 0};
    try {
      check_plans(p);
      return std::string("none");
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  const std::string table = "state s, dimension 0 of 2: table of ";
  const std::string wanted = "; 2 ranks of mesh tp=2 are wanted";
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{1, 2}}}), "none");
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{1, 2}}}, 2), "state 2; residents are 0 to 1");
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{1, 2}}}, 0), "state w is bound; a carried resident is wanted");
  EXPECT_EQ(error(3, 1, {{{0, 1}}, {{1, 3}}}), table + "3 on 2 ranks and axes 1" + wanted);
  EXPECT_EQ(error(2, 1, {{{0, 2}}}), table + "2 on 1 ranks and axes 1" + wanted);
  EXPECT_EQ(error(2, 2, {{{0, 1}}, {{1, 2}}}), table + "2 on 2 ranks and axes 2" + wanted);
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{1, 4}}}),
            "state s, dimension 0: rank 1 holds 1 to 4 of 2, 2 of them left");
  EXPECT_EQ(error(2, 1, {{{1, 2}, {0, 2}}, {{1, 2}}}),
            "state s, dimension 0: rank 0 holds 0 to 2 of 2, 1 of them left");
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{0, 1}}}), "state s, dimension 0: no rank holds some of it");
  EXPECT_EQ(error(2, 1, {{{0, 1}}, {{1, 2}}}, 1, 2), "a plan is for rank 2; mesh tp=2 has 2 ranks");
}

TEST(PlanCheck, GivesAStepTheStateOfItsRankOnly) {
  Program p = program();
  p.mesh = "tp=2";
  p.states[1] = {{shard::Table(2, 1, {{{0, 2}}, {{0, 1}}}), std::nullopt}, 0};
  EXPECT_NO_THROW(check_plans(p));
  p.plans[0].rank = 1;
  EXPECT_THROW(check_plans(p), Error);
}

TEST(PlanCheck, WantsPackedMatricesWithoutGaps) {
  Program p = program();
  Plan& plan = p.plans[0];
  plan.arena_bytes = 4096;
  const auto packed = PackMatrix{"f32.nr16"}.infer(std::vector<TensorType>{{DType::f32, {3, 2}}});
  const Dims shape = constant_dims(packed[0].shape);
  Step step{FusedMatmul{{2}, {{}}, "f32.nr16"}, "plain"};
  step.in = {{Place::input, 0, 0, DType::f32, {2, 3}, {3, 1}},
             {Place::arena, 0, 64, DType::f32, shape, {1}}};
  step.out = {{Place::arena, 0, 0, DType::f32, {2, 2}, {2, 1}}};
  plan.run = {step};
  EXPECT_NO_THROW(check_plans(p));
  plan.run[0].in[1].strides = {0};
  EXPECT_THROW(check_plans(p), Error);
}

TEST(PlanCheck, WantsCollectivesInRunAndWithoutGaps) {
  Program p = program();
  Plan& plan = p.plans[0];
  const Operand x{Place::input, 0, 0, DType::f32, {2, 3}, {3, 1}};
  const Operand a{Place::arena, 0, 0, DType::f32, {2, 3}, {3, 1}};
  const Operand gaps{Place::arena, 0, 0, DType::f32, {2, 3}, {1, 2}};
  const auto error = [&](std::vector<Step> prepare, std::vector<Step> run) {
    plan.prepare = std::move(prepare);
    plan.run = std::move(run);
    try {
      check_plans(p);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  const Op sum = make_op("all_reduce", {}), rank = make_op("rank", {});
  EXPECT_EQ(error({}, {{sum, "ranks", {x}, {a}, "sum"}}), "accepted");
  EXPECT_NE(error({}, {{sum, "ranks", {x}, {gaps}, "sum"}}).find("contiguous is wanted"),
            std::string::npos);
  EXPECT_NE(error({{sum, "ranks", {x}, {a}, "sum"}}, {}).find("a step of run is wanted"),
            std::string::npos);
  const Operand number{Place::arena, 0, 0, DType::i64, {}, {}};
  EXPECT_NE(error({{rank, "ranks", {}, {number}, ""}}, {}).find("a step of run is wanted"),
            std::string::npos);
}

TEST(PlanCodec, GivesBackTheBytes) {
  const Program p = program();
  const std::string bytes = encode_plans(p);
  Program found;
  ByteReader in(std::as_bytes(std::span(bytes)), "plans");
  decode_plans(in, found);
  EXPECT_EQ(encode_plans(found), bytes);
  ASSERT_EQ(found.plans[0].run.size(), 3u);
  EXPECT_EQ(found.plans[0].run[0].in[1].place, Place::resident);
  EXPECT_EQ(found.plans[0].run[0].scope, "blocks.0");
  EXPECT_EQ(found.plans[0].outputs[1].present, false);
}

TEST(ByteReader, RefusesCountsBeyondTheBytesLeft) {
  ByteWriter out;
  out.put(uint32_t{1u << 30});
  ByteReader in(std::as_bytes(std::span(out.bytes())), "here");
  try {
    in.get_count("things", 4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::corrupt);
    EXPECT_NE(std::string(error.what()).find("here, byte 4: number of things"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace tutti
