// SPDX-License-Identifier: Apache-2.0
#include "plan/engine_file.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "compile/repack.h"
#include "compiled_model.h"
#include "core/test_data.h"
#include "ir/text.h"
#include "plan/checksum.h"
#include "plan/plan_codec.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

WriteOptions for_this_machine(bool strip = false) {
  return {std::string(to_string(cpu::current_isa())), strip};
}

// A folder of its own for each test, removed at its end.
class EngineFiles : public testing::Test {
 protected:
  EngineFiles() {
    folder_ = fs::temp_directory_path() /
              join("tutti_engine_", testing::UnitTest::GetInstance()->random_seed(), "_",
                   testing::UnitTest::GetInstance()->current_test_info()->name(), "_",
                   std::chrono::steady_clock::now().time_since_epoch().count());
    fs::create_directories(folder_);
  }
  ~EngineFiles() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::string path(const std::string& name = "x.tutti") const { return (folder_ / name).string(); }

  fs::path folder_;
};

std::shared_ptr<Program> compiled(const std::string& model, const std::vector<SymbolValues>& shapes,
                                  const CompileOptions& options = {},
                                  const std::string& mesh = "") {
  auto program = std::make_shared<Program>();
  program->mesh = mesh;
  program->graph = import_pt2(test_model(model) + ".pt2");
  program->held = options.held;
  for (const SymbolValues& symbols : shapes) {
    Plan plan = compile_plan(*program, symbols, options);
    program->plans.push_back(std::move(plan));
  }
  compute_derived(*program);
  return program;
}

// Outputs of a program as a session gives them, with inputs by name.
Tensors run(runtime::Session& session, const Tensors& given) {
  std::vector<Tensor> inputs, outputs;
  std::vector<Dims> shapes;
  const Plan& first = session.program().plans[0];
  for (const Port& port : first.inputs) {
    inputs.push_back(contiguous(given.at(port.name)));
    shapes.push_back(inputs.back().shape);
  }
  const size_t index = session.find_plan(shapes);
  const Plan& plan = session.program().plans[index];
  for (const Port& port : plan.outputs)
    outputs.push_back(port.present ? Tensor::zeros(port.dtype, port.shape) : Tensor{});
  session.run(index, inputs, outputs);
  Tensors result;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (plan.outputs[i].present) result[plan.outputs[i].name] = outputs[i];
  return result;
}

void expect_same_bytes(const Tensors& found, const Tensors& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    const Tensor& other = found.at(name);
    ASSERT_EQ(other.shape, tensor.shape) << name;
    EXPECT_EQ(std::memcmp(other.data, tensor.data, tensor.bytes()), 0) << name;
  }
}

void expect_equal_programs(const Program& found, const Program& wanted) {
  EXPECT_EQ(print_graph(found.graph), print_graph(wanted.graph));
  EXPECT_EQ(found.held, wanted.held);
  ASSERT_EQ(found.plans.size(), wanted.plans.size());
  for (size_t p = 0; p < wanted.plans.size(); ++p) {
    const Plan &a = found.plans[p], &b = wanted.plans[p];
    EXPECT_EQ(a.symbols, b.symbols);
    EXPECT_EQ(a.arena_bytes, b.arena_bytes);
    EXPECT_EQ(a.held_bytes, b.held_bytes);
    ASSERT_EQ(a.run.size(), b.run.size());
    ASSERT_EQ(a.prepare.size(), b.prepare.size());
    ASSERT_EQ(a.constants.size(), b.constants.size());
    for (size_t s = 0; s < b.run.size(); ++s) {
      const Step &x = a.run[s], &y = b.run[s];
      EXPECT_TRUE(x.op == y.op) << s;
      EXPECT_EQ(x.implementation, y.implementation);
      EXPECT_EQ(x.scope, y.scope);
      ASSERT_EQ(x.in.size(), y.in.size());
      for (size_t i = 0; i < y.in.size(); ++i) {
        EXPECT_EQ(x.in[i].place, y.in[i].place);
        EXPECT_EQ(x.in[i].index, y.in[i].index);
        EXPECT_EQ(x.in[i].offset, y.in[i].offset);
        EXPECT_EQ(x.in[i].dtype, y.in[i].dtype);
        EXPECT_EQ(x.in[i].shape, y.in[i].shape);
        EXPECT_EQ(x.in[i].strides, y.in[i].strides);
      }
    }
  }
}

Tensors inputs_of(const std::string& model, std::string_view prefix = {}) {
  return tensors_of(test_model(model) + ".inputs.safetensors", prefix);
}

SymbolValues symbols_for(const Program& program, const Tensors& inputs) {
  const Function& f = program.graph.function("run");
  std::vector<Dims> shapes;
  for (ValueId id : f.inputs) shapes.push_back(inputs.at(f.value(id).name).shape);
  return bind_symbols(program.graph, f, shapes);
}

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

EngineFile read_bytes(const std::string& bytes, bool check = false) {
  const auto span = std::as_bytes(std::span(bytes));
  ReadOptions options;
  options.check = check;
  return read_engine(MappedFile::from_bytes({span.begin(), span.end()}, "bytes.tutti"), options);
}

TEST_F(EngineFiles, GiveBackTheProgramAndItsResults) {
  const auto program = compiled("flux", {{}});
  write_engine(path(), *program, for_this_machine());
  const EngineFile engine = read_engine(path());
  EXPECT_EQ(engine.isa, to_string(cpu::current_isa()));
  EXPECT_EQ(engine.file_bytes, fs::file_size(path()));
  expect_equal_programs(engine.program, *program);
  runtime::Session before(program, 1), after(std::make_shared<Program>(engine.program), 1);
  expect_same_bytes(run(after, inputs_of("flux")), run(before, inputs_of("flux")));
}

TEST_F(EngineFiles, HoldPlansOfSeveralShapes) {
  const Tensors two = inputs_of("llama.lengths", "len2."),
                seven = inputs_of("llama.lengths", "len7.");
  const Program graph{import_pt2(test_model("llama") + ".pt2"), {}, {}};
  const auto program = compiled("llama", {symbols_for(graph, two), symbols_for(graph, seven)});
  write_engine(path(), *program, for_this_machine());
  const EngineFile engine = read_engine(path());
  expect_equal_programs(engine.program, *program);
  runtime::Session before(program, 1), after(std::make_shared<Program>(engine.program), 1);
  for (const Tensors& inputs : {two, seven})
    expect_same_bytes(run(after, inputs), run(before, inputs));
}

TEST_F(EngineFiles, CanBePlannedForOtherShapes) {
  const Tensors two = inputs_of("llama.lengths", "len2."),
                seven = inputs_of("llama.lengths", "len7.");
  const Program graph{import_pt2(test_model("llama") + ".pt2"), {}, {}};
  const auto program = compiled("llama", {symbols_for(graph, two), symbols_for(graph, seven)});
  write_engine(path(), *compiled("llama", {symbols_for(graph, two)}), for_this_machine());
  auto later = std::make_shared<Program>(read_engine(path()).program);
  Plan plan = compile_plan(*later, symbols_for(*later, seven), {});
  later->plans.push_back(std::move(plan));
  EXPECT_TRUE(missing_weights(*later).empty());
  compute_derived(*later);
  runtime::Session before(program, 1), after(later, 1);
  expect_same_bytes(run(after, seven), run(before, seven));
}

TEST_F(EngineFiles, HoldTheStateThatSessionsStartFrom) {
  const auto program = compiled("versions/kv_cache", {{}});
  write_engine(path(), *program, for_this_machine());
  runtime::Session before(program, 1),
      after(std::make_shared<Program>(read_engine(path()).program), 1);
  for (int step = 0; step < 4; ++step) {
    const Tensors inputs = inputs_of("versions/kv_cache", join("step", step, "."));
    expect_same_bytes(run(after, inputs), run(before, inputs));
  }
}

TEST_F(EngineFiles, HoldWhereStateIsOnRanks) {
  const auto program = compiled("versions/kv_cache", {{}}, {}, "tp=3");
  write_engine(path(), *program, for_this_machine());
  ASSERT_EQ(program->states.size(), 3u);
  EXPECT_FALSE(program->states.begin()->second.is_whole());
  EXPECT_EQ(read_engine(path()).program.states, program->states);
}

TEST_F(EngineFiles, StoreNoWeightTwice) {
  const auto program = compiled("flux", {{}});
  write_engine(path(), *program, for_this_machine());
  uint64_t derived = 0, bound = 0;
  for (const Resident& r : program->graph.residents)
    (r.kind == Resident::Kind::derived ? derived : bound) += r.data.bytes();
  const EngineFile engine = read_engine(path());
  EXPECT_LT(engine.weight_bytes, derived + bound / 4);
}

TEST_F(EngineFiles, WithoutWeightsReferToTheirFile) {
  fs::copy(test_model("llama") + ".pt2", path("llama.pt2"));
  auto program = std::make_shared<Program>();
  program->graph = import_pt2(path("llama.pt2"));
  const Tensors inputs = inputs_of("llama.lengths", "len7.");
  program->plans.push_back(compile_plan(*program, symbols_for(*program, inputs), {}));
  compute_derived(*program);
  write_engine(path(), *program, for_this_machine(true));
  EXPECT_LT(fs::file_size(path()), fs::file_size(path("llama.pt2")) / 2);
  check_engine(path());

  EngineFile engine = read_engine(path());
  EXPECT_EQ(engine.weight_files, std::vector<std::string>{path("llama.pt2")});
  compute_derived(engine.program);
  runtime::Session before(program, 1), after(std::make_shared<Program>(engine.program), 1);
  expect_same_bytes(run(after, inputs), run(before, inputs));

  // Moved elsewhere, and gone.
  fs::create_directories(folder_ / "moved");
  fs::rename(path("llama.pt2"), path("moved/llama.pt2"));
  ReadOptions options;
  options.weights = path("moved");
  EXPECT_EQ(read_engine(path(), options).weight_files,
            std::vector<std::string>{path("moved/llama.pt2")});
  try {
    read_engine(path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_found);
    EXPECT_NE(std::string(error.what()).find("llama.pt2"), std::string::npos) << error.what();
  }

  // Damaged: a weight that is packed again is refused, one that is mapped is found by checking.
  const Graph& graph = engine.program.graph;
  const Function& init = graph.function("init");
  for (const bool packed : {false, true}) {
    const auto is_read = [&](ResidentId id) {
      return std::any_of(init.values.begin(), init.values.end(),
                         [&](const Value& value) { return value.resident == id; });
    };
    ResidentId id = 0;
    while (graph.residents[static_cast<size_t>(id)].kind != Resident::Kind::bound ||
           is_read(id) != packed)
      ++id;
    const Resident& weight = graph.residents[static_cast<size_t>(id)];
    const auto before = weight.data.as<char>()[0];
    const auto mapped = MappedFile::containing(weight.data.data);
    const auto at = static_cast<const std::byte*>(weight.data.data) - mapped->bytes().data();
    const auto put = [&](char c) {
      std::fstream file(path("moved/llama.pt2"), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(at);
      file.put(c);
    };
    put(static_cast<char>(~before));
    if (packed)
      EXPECT_THROW(read_engine(path(), options), Error);
    else
      EXPECT_NO_THROW(read_engine(path(), options));
    try {
      check_engine(path(), options.weights);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(weight.name), std::string::npos) << error.what();
    }
    put(before);
  }
}

TEST_F(EngineFiles, OfAnotherInstructionSetAreRepacked) {
  if (cpu::best_isa() == cpu::Isa::portable) GTEST_SKIP() << "one instruction set only";
  const cpu::Isa best = cpu::current_isa();
  cpu::set_isa(cpu::Isa::portable);
  const auto portable = compiled("flux", {{}});
  write_engine(path(), *portable, for_this_machine());
  cpu::set_isa(best);
  const auto wanted = compiled("flux", {{}});

  ReadOptions options;
  options.isa = to_string(best);
  EngineFile engine = read_engine(path(), options);
  EXPECT_EQ(engine.isa, "portable");
  EXPECT_TRUE(repack_for(engine.program, best));
  EXPECT_FALSE(repack_for(engine.program, best));
  expect_equal_programs(engine.program, *wanted);
  runtime::Session before(wanted, 1), after(std::make_shared<Program>(engine.program), 1);
  expect_same_bytes(run(after, inputs_of("flux")), run(before, inputs_of("flux")));
}

// The smallest engine with a weight, state that ranks share, a plan and a constant.
std::string small_engine(const std::string& path) {
  write_engine(path, *compiled("versions/kv_cache", {{}}, {}, "tp=2"), for_this_machine());
  return text_of(path);
}

TEST_F(EngineFiles, CutShortAreRefused) {
  const std::string bytes = small_engine(path());
  for (size_t size = 0; size < bytes.size(); size += 97) {
    try {
      read_bytes(bytes.substr(0, size));
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::corrupt) << error.what();
    }
  }
}

TEST_F(EngineFiles, WithAFlippedBitAreFoundOut) {
  std::string bytes = small_engine(path());
  ASSERT_NO_THROW(read_bytes(bytes, true));
  std::mt19937_64 random(7);
  size_t late = 0;
  for (int i = 0; i < 2000; ++i) {
    const size_t bit = random() % (8 * bytes.size());
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_THROW(read_bytes(bytes, true), Error) << bit;
    try {
      read_bytes(bytes);
      ++late;  // in weights that are only mapped
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("bytes.tutti"), std::string::npos) << error.what();
    }
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
  EXPECT_LT(late, 2000u);
}

TEST_F(EngineFiles, WithDamageBehindTheChecksumsAreRefusedOrSafe) {
  const std::string bytes = small_engine(path());
  uint64_t weights;
  std::memcpy(&weights, bytes.data() + 40 + 3 * 24, 8);
  std::mt19937_64 random(8);
  ReadOptions options;
  options.ignore_checksums = true;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k < 2; ++k) damaged[random() % weights] = static_cast<char>(random());
    const auto span = std::as_bytes(std::span(damaged));
    try {
      read_engine(MappedFile::from_bytes({span.begin(), span.end()}, "bytes.tutti"), options);
    } catch (const Error& error) {
      EXPECT_NE(error.code(), Errc::internal) << error.what();
    }
  }
}

TEST_F(EngineFiles, OfANewerVersionAreRefusedByNumber) {
  std::string bytes = small_engine(path());
  bytes[8] = 9;
  try {
    read_bytes(bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::unsupported);
    EXPECT_NE(std::string(error.what()).find("version 9"), std::string::npos) << error.what();
  }
}

// With TUTTI_LONG set: writes and reads a gigabyte.
TEST_F(EngineFiles, OfAGigabyteOpenWithoutReadingIt) {
  if (std::getenv("TUTTI_LONG") == nullptr) GTEST_SKIP() << "set TUTTI_LONG to run";
  Program program;
  Function f{.name = "run"};
  for (int i = 0; i < 32; ++i) {
    Resident resident{join("w", i), {DType::f32, {4096, 2048}}, Resident::Kind::bound, {}};
    resident.data = Tensor::zeros(DType::f32, {4096, 2048});
    for (int64_t k = 0; k < resident.data.elements(); ++k)
      resident.data.as<float>()[k] = static_cast<float>(k + i);
    program.graph.add_resident(resident);
    f.outputs.push_back({join("out", i), f.read(i, resident.name, resident.type)});
  }
  program.graph.functions.push_back(f);
  program.plans.push_back(compile_plan(program, {}, {}));
  const auto seconds = [](auto work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::cout << "write " << seconds([&] { write_engine(path(), program, for_this_machine()); });
  std::cout << " s, open " << seconds([&] { read_engine(path()); });
  std::cout << " s, check " << seconds([&] { check_engine(path()); }) << " s\n";
}

}  // namespace
}  // namespace tutti
