// SPDX-License-Identifier: Apache-2.0
// Builds bundled PyTorch exports, runs them and compares with PyTorch's stored outputs.
//
// Usage: stored_models FOLDER MODEL...
//
// A model is FOLDER/MODEL.pt2, .inputs.safetensors and .outputs.safetensors. One of several ranks
// is a program for each: {rank} stands for its number, of4 behind it says how many there are, and
// the ranks of named groups may follow: "tp/tp_sub.rank{rank}of4:1=0,1:2=2,3". Ranks are threads,
// or processes when this program was started by tutti launch, torchrun, mpirun or srun.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace {

using tutti::Communicator;
using tutti::DType;
using tutti::Tensor;

constexpr std::string_view kRank = "{rank}";

// A model of the command line.
struct Model {
  std::string name;  // with kRank where there is a program for each rank
  int ranks = 1;
  tutti::RankGroups groups;
};

Model parse(const std::string& text) {
  Model model;
  size_t at = text.find(':');
  model.name = text.substr(0, at);
  if (const size_t rank = model.name.find(kRank); rank != std::string::npos)
    model.ranks = std::stoi(model.name.substr(rank + kRank.size() + 2));
  while (at != std::string::npos) {
    const size_t end = text.find(':', at + 1), equals = text.find('=', at);
    const std::string name = text.substr(at + 1, equals - at - 1);
    for (size_t i = equals; i < std::min(end, text.size()); i = text.find(',', i + 1))
      model.groups[name].push_back(std::stoi(text.substr(i + 1)));
    at = end;
  }
  return model;
}

// A file of a rank; where all share it, the name ends before ".rank".
std::string file(const std::string& folder, const Model& model, int rank, const std::string& end) {
  std::string name = model.name;
  if (const size_t at = name.find(kRank); at != std::string::npos)
    name.replace(at, kRank.size(), std::to_string(rank));
  const std::string own = folder + "/" + name + end;
  if (std::filesystem::exists(own)) return own;
  return folder + "/" + name.substr(0, name.rfind(".rank")) + end;
}

double largest_error(const Tensor& found, const Tensor& expected) {
  if (!(found.shape == expected.shape)) return INFINITY;
  const Tensor a = tutti::cast(found, DType::f64), b = tutti::cast(expected, DType::f64);
  double difference = 0, largest = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    difference = std::fmax(difference, std::abs(a.as<double>()[i] - b.as<double>()[i]));
    largest = std::fmax(largest, std::abs(b.as<double>()[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

double median_ms(tutti::Session& session, const tutti::TensorMap& inputs) {
  std::vector<double> times;
  for (int i = 0; i < 15; ++i) {
    const auto start = std::chrono::steady_clock::now();
    (void)session.run(inputs);
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    times.push_back(passed.count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// What one rank found.
struct Row {
  double error = 0, kib_sent = 0, ms = 0;
  bool bf16 = false;
  size_t nodes = 0, steps = 0;
};

double largest_of(Communicator& ranks, double value) {
  const Tensor t = Tensor::borrow(&value, DType::f64, {1});
  ranks.all_reduce(tutti::comm::Reduce::max, t, t);
  return value;
}

Row run(const std::string& folder, const Model& model, Communicator& ranks) {
  const int rank = ranks.rank();
  tutti::Engine engine = tutti::Engine::build(file(folder, model, rank, ".pt2"));
  const tutti::TensorMap stored =
      tutti::load_tensors(file(folder, model, rank, ".inputs.safetensors"));
  tutti::TensorMap inputs;
  tutti::InputShapes shapes;
  for (const tutti::PortInfo& port : engine.inputs()) {
    inputs[port.name] = tutti::contiguous(stored.at(port.name));
    shapes.emplace_back(port.name, inputs[port.name].shape);
  }
  engine.plan(shapes);
  // Threads of this process share its cores.
  tutti::Session session = engine.session(model.ranks > 1 ? 1 : 0);
  if (model.ranks > 1) session.bind(ranks, model.groups);
  const tutti::TensorMap outputs = session.run(inputs);
  Row row;
  row.kib_sent = static_cast<double>(session.bytes_sent()) / 1024;
  for (const auto& [name, expected] :
       tutti::load_tensors(file(folder, model, rank, ".outputs.safetensors"))) {
    row.error = std::fmax(row.error, largest_error(outputs.at(name), expected));
    row.bf16 = row.bf16 || expected.dtype == DType::bf16;
  }
  row.ms = median_ms(session, inputs);
  row.nodes = engine.graph_nodes();
  row.steps = engine.plans()[0].steps.size();
  return row;
}

// Prints a row of the table; true when the outputs are those stored.
bool compare(const std::string& folder, const Model& model, Communicator& ranks) {
  const Row row = run(folder, model, ranks);
  const double error = largest_of(ranks, row.error), sent = largest_of(ranks, row.kib_sent),
               ms = largest_of(ranks, row.ms);
  const bool good = error <= (row.bf16 ? 2e-2 : 5e-5);
  if (ranks.rank() > 0) return good;
  std::printf("%-32s %5d %6zu %6zu %10.3f %10.1f %10.1e  %s\n", model.name.c_str(), model.ranks,
              row.nodes, row.steps, ms, sent, error, good ? "ok" : "WRONG");
  std::fflush(stdout);
  return good;
}

// The ranks that started with this program; one, when nobody launched it.
Communicator& job() {
  static Communicator all = tutti::join_job();
  return all;
}

// On the processes of the job where they are as many, else on threads of the first.
bool compare(const std::string& folder, const Model& model) {
  if (model.ranks == job().size()) return compare(folder, model, job());
  if (job().rank() > 0) return true;
  bool good = true;
  tutti::run_ranks(model.ranks, [&](Communicator& ranks) {
    const bool own = compare(folder, model, ranks);
    if (ranks.rank() == 0) good = own;
  });
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FOLDER MODEL...\n", argv[0]);
    return 2;
  }
  bool good = true;
  try {
    if (job().rank() == 0)
      std::printf("%-32s %5s %6s %6s %10s %10s %10s\n", "model", "ranks", "nodes", "steps", "ms",
                  "sent, KiB", "error");
    for (int i = 2; i < argc; ++i) good = compare(argv[1], parse(argv[i])) && good;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return good ? 0 : 1;
}
