// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cli/arguments.h"
#include "cli/bench_report.h"
#include "cli/parallel.h"
#include "cli/ranks.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::vector<int> numbers_of(const std::string& text) {
  std::vector<int> numbers;
  for (const std::string& word : words_of(text)) {
    int number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number < 1 ||
        number > kMostRanks)
      throw UsageError("option --ranks is " + text + "; numbers of ranks are wanted, as in 1,2,4");
    numbers.push_back(number);
  }
  return numbers;
}

// A file that is removed at the end.
class Scratch {
 public:
  Scratch()
      : path_((std::filesystem::temp_directory_path() /
               ("tutti_bench_" + std::to_string(getpid()) + ".npz"))
                  .string()) {}
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Bench {
 public:
  explicit Bench(const Arguments& arguments) : arguments_(arguments) {}

  // Each strategy is a job of `tutti run`, whose rank 0 leaves what it measured in a file.
  BenchResult run(int ranks, const MeshChoice& strategy) const {
    const bool threads = arguments_.has("--threads") && ranks > 1;
    Placement placement;
    placement.ranks_per_host = threads ? 1 : ranks;
    GroupOptions options;
    options.title = "tutti bench";
    options.show_all = false;
    const int code =
        run_process_group(rank_programs(placement, words(ranks, strategy, threads), {}), options);
    if (code != 0) return {ranks, strategy, std::nullopt};
    return {ranks, strategy, load_measurement(scratch_.path())};
  }

 private:
  std::vector<std::string> words(int ranks, const MeshChoice& strategy, bool threads) const {
    std::vector<std::string> words = {"/proc/self/exe", "run", arguments_.words()[0]};
    const auto add = [&](const std::string& option, const std::string& value) {
      if (!value.empty()) words.insert(words.end(), {option, value});
    };
    for (const char* option : {"--input", "--shape", "--hold"})
      for (const std::string& value : arguments_.values(option)) add(option, value);
    for (const char* option : {"--weights", "--dtype", "--matmul", "--num-threads", "--transport"})
      add(option, arguments_.value(option));
    words.push_back("--random-inputs");  // for those that are not given
    add("--mesh", strategy.mesh);
    add("--cp", strategy.context);
    if (threads) words.insert(words.end(), {"--threads", "-n", std::to_string(ranks)});
    add("--repeat", arguments_.value("--repeat", "10"));
    add("--measure", scratch_.path());
    if (arguments_.has("--trace"))
      add("--profile", arguments_.value("--trace") + "/" +
                           (strategy.mesh.empty() ? "one rank" : strategy.mesh) +
                           (strategy.context.empty() ? "" : "_" + strategy.context) + ".json");
    return words;
  }

  const Arguments& arguments_;
  Scratch scratch_;
};

// Names of strategies: of these, or all for "all".
std::vector<std::string> strategy_names(const std::string& text) {
  constexpr int kRanksOfAll = 16;  // enough for two or more along each axis
  std::vector<std::string> all;
  for (const MeshChoice& way : mesh_choices(kRanksOfAll))
    if (std::find(all.begin(), all.end(), way.name) == all.end()) all.push_back(way.name);
  const std::vector<std::string> names = words_of(text);
  std::string known = "all";
  for (const std::string& name : all) known += ", " + name;
  for (const std::string& name : names)
    if (name != "all" && std::find(all.begin(), all.end(), name) == all.end())
      throw UsageError("strategy " + name + " is not known; there are: " + known);
  return std::find(names.begin(), names.end(), "all") != names.end() ? all : names;
}

// The ways of these names for a number of ranks, as they were judged, in the order of mesh_choices.
std::vector<MeshChoice> named_ways(const std::vector<std::string>& names, int ranks,
                                   const std::vector<MeshChoice>& judged) {
  std::vector<MeshChoice> ways;
  for (const MeshChoice& way : mesh_choices(ranks))
    if (ranks == 1 || std::find(names.begin(), names.end(), way.name) != names.end())
      ways.push_back(*std::find_if(judged.begin(), judged.end(), [&](const MeshChoice& j) {
        return j.mesh == way.mesh && j.context == way.context;
      }));
  return ways;
}

void make_folder(const std::string& path) {
  std::error_code ignored;  // who writes into it says so
  if (!path.empty()) std::filesystem::create_directories(path, ignored);
}

int bench(const Arguments& arguments) {
  if (arguments.words().size() != 1) throw UsageError("bench: one MODEL is wanted");
  const std::string& model = arguments.words()[0];
  if (!is_model(model)) throw UsageError(model + ": a .pt2 file is wanted");
  arguments.number("--repeat", 10, 1);
  const std::vector<int> numbers = numbers_of(arguments.value("--ranks", "1,2,4"));
  const std::vector<std::string> names = strategy_names(arguments.value("--strategies", "all"));
  make_folder(arguments.value("--trace"));
  const InputShapes shapes = shapes_to_judge(arguments);
  const Bench bench(arguments);
  std::vector<BenchResult> results;
  std::vector<Choice> choices;
  bool failed = false;
  for (const int ranks : numbers) {
    const std::vector<MeshChoice> judged = judged_ways(arguments, shapes, ranks);
    for (const MeshChoice& way : named_ways(names, ranks, judged)) {
      results.push_back(bench.run(ranks, way));
      failed = failed || !results.back().measured;
    }
    if (ranks > 1) choices.push_back(choice_among(results, ranks, judged[0]));
  }
  std::fputs(bench_table(results, choices).c_str(), stdout);
  if (arguments.has("--json")) {
    std::ofstream file(arguments.value("--json"));
    file << bench_json(model, results, choices);
    file.close();
    if (!file) throw UsageError(arguments.value("--json") + ": cannot be written");
  }
  if (arguments.has("--svg"))
    write_charts(arguments.value("--svg"), std::filesystem::path(model).filename().string(),
                 results);
  return failed ? 1 : 0;
}

}  // namespace

Command bench_command() {
  return {
      "bench",
      "bench MODEL [--ranks 1,2,4] [--strategies all] [options]",
      "Runs a model on numbers of ranks under each strategy, and shows times, bytes and memory.",
      "Ranks are processes of this host that share its cores: what one rank has is divided.\n"
      "Strategies: dp, tp, cp:ulysses, cp:ring, cp:gather_kv; where the number of ranks is a\n"
      "product also cp:ulysses+ring and two or three axes, as dp+tp or tp+cp:ring. A time is the\n"
      "median of --repeat runs after one to warm up; a run's time is that of its slowest rank. "
      "What\n"
      "is judged is the time by which --parallel auto chooses. Memory of a rank is what it has of\n"
      "weights, activations and state; the peak of its process counts building too.\n"
      "Exit code: 1 when a strategy failed.",
      {{"--ranks", "1,2,4", "numbers of ranks"},
       {"--strategies", "LIST", "of the names above, with commas; all when not given"},
       {"--repeat", "N", "measured runs of each; 10 when not given"},
       {"--json", "FILE", "all numbers"},
       {"--svg", "FOLDER", "charts: latency.svg, speedup.svg, bytes.svg, memory.svg"},
       {"--trace", "FOLDER", "a Chrome trace of one run under each strategy, with all ranks"},
       {"--threads", "", "ranks are threads of one process"},
       {"--num-threads", "N",
        "computing threads of each rank; the cores shared out when not given"},
       {"--transport", "NAME", "between ranks: auto, shm or gloo"},
       {"--input", "FILE", "inputs by the names in FILE; NAME=FILE for one; else random", true},
       {"--shape", "NAME=2x77", "shape of an input that is random and may vary", true},
       {"--hold", "NAME", "computes once what depends on this input alone", true},
       {"--weights", "PATH", "weights by name: .safetensors, .npz, an index or a folder"},
       {"--dtype", "TYPE", "keep, f32 or bf16: what floating-point weights are converted to"},
       {"--matmul", "NAME", "matrix products and convolutions by: auto, own, onednn or plain"}},
      bench};
}

}  // namespace tutti::cli
