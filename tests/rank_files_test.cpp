// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "networks_for_tests.h"
#include "plan/engine_file.h"
#include "runtime/session.h"
#include "tutti/log.h"

// Engines with collectives that were saved, as they were and damaged.
namespace tutti {
namespace {

Engine engine() {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4, 6});
  const Ranks all = {"", {}, 2};
  const Expression y = all_reduce(relu(x), all) + cast(rank_in(graph), DType::f32);
  graph.output("y", all_gather(reduce_scatter(y * 2, all, "max"), all, 1));
  graph.output("z", all_to_all_v(x, {"", {0, 1}, 2}, {2, 2}, {2, 2}));
  return Engine::build(graph);
}

std::string saved(const Engine& engine) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("tutti_ranks_" + std::to_string(std::random_device{}()) + ".tutti"))
                               .string();
  engine.save(path);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

Program program_of(const std::string& bytes) {
  const auto span = std::as_bytes(std::span(bytes));
  ReadOptions options;
  options.ignore_checksums = true;
  return std::move(
      read_engine(MappedFile::from_bytes({span.begin(), span.end()}, "x.tutti"), options).program);
}

// Runs on two ranks; a rank without a program does not come.
TensorMap run_both(const std::vector<std::shared_ptr<const Program>>& programs) {
  TensorMap found;
  JoinOptions options;
  options.deadline_s = 0.5;
  run_ranks(
      2,
      [&](Communicator& ranks) {
        const auto& program = programs[static_cast<size_t>(ranks.rank())];
        runtime::Session session(program, 1);
        session.bind(ranks, {}, 5);
        const Plan& plan = program->plans.at(0);
        std::vector<Tensor> inputs, outputs;
        for (const Port& port : plan.inputs)
          inputs.push_back(Tensor::zeros(port.dtype, port.shape));
        for (const Port& port : plan.outputs)
          outputs.push_back(Tensor::zeros(port.dtype, port.shape));
        for (const Tensor& input : inputs)
          if (input.dtype == DType::f32) std::fill_n(input.as<float>(), input.elements(), 3.f);
        session.run(0, inputs, outputs);
        for (size_t i = 0; ranks.rank() == 1 && i < outputs.size(); ++i)
          found[plan.outputs[i].name] = outputs[i];
      },
      options);
  return found;
}

// What a damaged plan may ask for, up to all memory there is.
int64_t largest(const Program& program) {
  return std::max(program.plans[0].arena_bytes, program.plans[0].held_bytes);
}

TEST(RankFiles, RunAsTheyWereSaved) {
  std::vector<std::string> warnings;
  set_log(LogLevel::warning, [&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  const auto program = std::make_shared<const Program>(program_of(saved(engine())));
  const TensorMap found = run_both({program, program});
  set_log(LogLevel::off, {});
  EXPECT_EQ(warnings, std::vector<std::string>{});
  EXPECT_EQ(found.at("y").shape, (Dims{2, 12}));
  // The sum of two threes, the largest rank, doubled.
  EXPECT_EQ(values_of(found.at("y")), std::vector<float>(24, 14));
  EXPECT_EQ(values_of(found.at("z")), std::vector<float>(24, 3));
}

TEST(RankFiles, ThatAreDamagedAreRefusedOrSafe) {
  const std::string bytes = saved(engine());
  const auto good = std::make_shared<const Program>(program_of(bytes));
  uint64_t weights;
  std::memcpy(&weights, bytes.data() + 40 + 3 * 24, 8);
  std::mt19937_64 random(9);
  int ran = 0, refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = bytes;
    damaged[random() % weights] = static_cast<char>(random());
    try {
      auto program = std::make_shared<const Program>(program_of(damaged));
      if (program->plans.empty() || largest(*program) > 1 << 20) continue;
      run_both(i % 2 ? std::vector{good, program} : std::vector{program, program});
      ++ran;
    } catch (const Error& error) {
      EXPECT_NE(error.code(), Errc::internal) << error.what();
      EXPECT_NE(error.code(), Errc::timeout) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(ran, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace tutti
